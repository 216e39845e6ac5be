/** Narrow rows that are only inserted, and one counter a session, updated in place: its page keeps room for that. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS sessions (
  id text PRIMARY KEY,
  last_seq bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS events (
  session_id text NOT NULL,
  seq bigint NOT NULL,
  producer_id text NOT NULL,
  producer_seq bigint NOT NULL,
  inserted_at timestamptz NOT NULL,
  json text NOT NULL,
  PRIMARY KEY (session_id, seq),
  UNIQUE (session_id, producer_id, producer_seq)
);
ALTER TABLE events ALTER COLUMN json SET STORAGE EXTERNAL;
`;

/**
 * Appends of many callers in one statement, one commit and one sync. An array for each column; the first says which
 * append an event belongs to. An append in which a producer's pair comes with other content than before is left out
 * whole.
 *
 * A row for every event: its seq, null if it was left out; whether it was there before; whether its append conflicts.
 * It is written so that every plan goes by the indexes: one that was made while the tables were small would stay.
 */
export const APPEND = `
WITH incoming AS (
  SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::text[])
    WITH ORDINALITY AS event (append, session_id, producer_id, producer_seq, json, nth)
), looked_up AS (
  SELECT incoming.*, known.seq AS known_seq,
    bool_or(known.json <> incoming.json) OVER (PARTITION BY append) IS TRUE AS conflict
  FROM incoming LEFT JOIN LATERAL (
    SELECT seq, json FROM events
    WHERE session_id = incoming.session_id AND producer_id = incoming.producer_id
      AND producer_seq = incoming.producer_seq
    LIMIT 1
  ) AS known ON true
), numbered AS MATERIALIZED (
  SELECT *, known_seq IS NULL AND NOT conflict AS fresh,
    count(*) FILTER (WHERE known_seq IS NULL AND NOT conflict) OVER (PARTITION BY session_id ORDER BY nth) AS place,
    count(*) FILTER (WHERE known_seq IS NULL AND NOT conflict) OVER (PARTITION BY session_id) AS added
  FROM looked_up
), heads AS (
  UPDATE sessions
  SET last_seq = last_seq + (SELECT added FROM numbered WHERE session_id = sessions.id LIMIT 1)
  WHERE id = ANY (ARRAY (SELECT session_id FROM numbered WHERE fresh))
  RETURNING id, last_seq
), stored AS (
  INSERT INTO events (session_id, seq, producer_id, producer_seq, inserted_at, json)
  SELECT session_id, last_seq - added + place, producer_id, producer_seq, now(), json
  FROM numbered JOIN heads ON id = session_id
  WHERE fresh
)
SELECT
  coalesce(known_seq, CASE WHEN fresh THEN last_seq - added + place END)::float8 AS seq,
  known_seq IS NOT NULL AS deduped,
  conflict
FROM numbered LEFT JOIN heads ON id = session_id
ORDER BY nth
`;
