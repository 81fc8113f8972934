-- Pits with many visits and few purchases in the last 30 days
SELECT pit, count(*) AS visits, sum(CASE WHEN bought THEN 1 ELSE 0 END) AS purchases
FROM visits
WHERE visit_date >= current_date - INTERVAL '30' DAY
GROUP BY pit
HAVING count(*) >= 20
ORDER BY sum(CASE WHEN bought THEN 1.0 ELSE 0.0 END) / count(*), visits DESC
LIMIT 50
