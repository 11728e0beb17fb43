-- +goose Up

-- The words change: their case is folded otherwise, and with them stands in which windows of the main stream the message is.
TRUNCATE words;
-- What waits to be put into the index is looked through by every search.
ALTER INDEX words_of_messages SET (gin_pending_list_limit = 256);
-- The messages up to here are not in it yet.
INSERT INTO facts (name, value) SELECT 'unindexed', CAST(max(id) AS TEXT) FROM messages HAVING max(id) > 0;
