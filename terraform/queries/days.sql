-- How each of the last 30 days went
SELECT visit_date, people_identified, pits_visited, purchases, revenue, conversion_rate, average_ticket
FROM daily_metrics
WHERE visit_date >= current_date - INTERVAL '30' DAY
ORDER BY visit_date DESC
