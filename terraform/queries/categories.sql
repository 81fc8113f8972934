-- Visits, share that bought and revenue by category in the last 7 days
SELECT pit_category,
       count(*) AS visits,
       avg(CASE WHEN bought THEN 1.0 ELSE 0.0 END) AS conversion_rate,
       sum(CASE WHEN bought THEN price * quantity ELSE 0 END) AS revenue
FROM visits
WHERE visit_date >= current_date - INTERVAL '7' DAY
GROUP BY pit_category
ORDER BY revenue DESC
