-- People with recommendations by day and model in the last 30 days
SELECT visit_date, model, count(*) AS people
FROM recommendations
WHERE visit_date >= current_date - INTERVAL '30' DAY
GROUP BY visit_date, model
ORDER BY visit_date DESC
