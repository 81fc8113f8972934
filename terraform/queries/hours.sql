-- Visits and purchases by hour of the day in the last 30 days
SELECT extract(HOUR FROM visited_at) AS hour_of_day,
       count(*) AS visits,
       sum(CASE WHEN bought THEN 1 ELSE 0 END) AS purchases
FROM visits
WHERE visit_date >= current_date - INTERVAL '30' DAY
GROUP BY 1
ORDER BY 1
