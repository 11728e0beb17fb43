-- +goose Up

-- As in PostgreSQL, where "user" is a reserved word.
ALTER TABLE messages RENAME COLUMN user TO author;
ALTER TABLE messages ADD COLUMN edited INTEGER NOT NULL DEFAULT 0; -- when last, Unix nanoseconds; 0: never
ALTER TABLE messages ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0; -- when, Unix nanoseconds; 0: it is there
DROP INDEX messages_of_user;
CREATE INDEX messages_of_author ON messages (author, epoch, sequence) WHERE author <> '';
CREATE INDEX places_of_message ON places (message);
-- What was said to single sockets has a place too: that of no room.
INSERT INTO places (namespace, target, epoch, sequence, message)
    SELECT namespace, 'socket', epoch, sequence, id FROM messages m
    WHERE NOT EXISTS (SELECT 1 FROM places p WHERE p.message = m.id);

-- The trail of a message: what it was before each change, and who changed it.
CREATE TABLE changes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    message INTEGER NOT NULL,
    action  TEXT    NOT NULL, -- 'edit' or 'delete'
    author  TEXT    NOT NULL, -- '' if nobody was signed in
    socket  TEXT    NOT NULL,
    name    TEXT    NOT NULL, -- '' once the user is erased
    time    INTEGER NOT NULL, -- Unix nanoseconds
    payload BLOB    NOT NULL, -- before the change; the event's name alone once the author is erased
    lengths TEXT    NOT NULL
) STRICT;
CREATE INDEX changes_of_message ON changes (message);
CREATE INDEX changes_of_author ON changes (author) WHERE author <> '';

-- Until when what a user said is erased, also what arrives later.
CREATE TABLE erased (
    author TEXT PRIMARY KEY,
    until  INTEGER NOT NULL -- Unix nanoseconds; the greatest number if the user is deleted
) STRICT, WITHOUT ROWID;
INSERT INTO erased (author, until) SELECT user, 9223372036854775807 FROM deleted_users;
DROP TABLE deleted_users;

-- What clients must still be told, written in the transaction that changes something.
CREATE TABLE outbox (
    topic     TEXT PRIMARY KEY,
    epoch     INTEGER NOT NULL, -- with sequence: grows on each topic
    sequence  INTEGER NOT NULL,
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    event     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox (topic, epoch, sequence, namespace, target, event)
    SELECT 'redacted:' || namespace || ':' || user, epoch, sequence, namespace, 'all',
        CAST(json_array('redacted', json_object('user', user)) AS BLOB) FROM announcements;
DROP TABLE announcements;

-- How far users have read.
CREATE TABLE marks (
    author    TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    epoch     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    PRIMARY KEY (author, namespace, target)
) STRICT, WITHOUT ROWID;

-- The words of messages, and where they were said. Messages stored before this table are not in it.
CREATE VIRTUAL TABLE words USING fts5 (places, text, tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M*'");
-- Overwrite the words that are taken out.
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
