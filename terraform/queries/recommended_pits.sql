-- The pits recommended first to most people, by the newest recommendations
SELECT pits_recommended[1].pit AS pit, pits_recommended[1].reason AS reason, count(*) AS people
FROM recommendations
WHERE visit_date = (SELECT max(visit_date) FROM recommendations) AND cardinality(pits_recommended) > 0
GROUP BY 1, 2
ORDER BY people DESC
LIMIT 50
