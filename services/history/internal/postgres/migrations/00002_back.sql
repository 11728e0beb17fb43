-- +goose Up

-- When JetStream copied the message for history, Unix nanoseconds; 0: not known. By it a message that is delivered again is known.
ALTER TABLE messages ADD COLUMN copied BIGINT NOT NULL DEFAULT 0;
-- The sequence from which on this is the main stream's incarnation; it has more than one where it went back.
ALTER TABLE incarnations ADD COLUMN first BIGINT NOT NULL DEFAULT 1;
