-- +goose Up

-- The main stream's incarnations, each with a number that fits into the key of its messages in words.
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch  INTEGER NOT NULL UNIQUE
) STRICT;
INSERT INTO epochs (epoch) SELECT DISTINCT epoch FROM messages ORDER BY epoch;
-- +goose StatementBegin
CREATE TRIGGER messages_of_epochs AFTER INSERT ON messages BEGIN
    INSERT INTO epochs (epoch) SELECT new.epoch WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE epoch = new.epoch);
END;
-- +goose StatementEnd

-- The words of messages, told apart and with their case folded already, and where they were said. The key has the
-- number of the epoch and, in its last 48 bits, the sequence: so it is in the order in which they were said.
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5 (places, text, tokenize = 'ascii', detail = column, columnsize = 0);
-- Overwrite the words that are taken out.
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
-- The messages up to here are not in it yet.
INSERT INTO facts (name, value) SELECT 'unindexed', CAST(max(id) AS TEXT) FROM messages HAVING max(id) > 0;
