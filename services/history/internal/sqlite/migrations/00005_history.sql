-- +goose Up

-- Versions of lower numbers were never released. Namespaces and targets are subject tokens.

-- Every post, once.
CREATE TABLE messages (
    id        INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL, -- creation of the main stream, Unix milliseconds
    sequence  INTEGER NOT NULL, -- in the main stream
    namespace TEXT    NOT NULL,
    socket    TEXT    NOT NULL, -- '' if a service said it
    author    TEXT    NOT NULL, -- '' if nobody was signed in
    name      TEXT    NOT NULL,
    time      INTEGER NOT NULL, -- Unix nanoseconds
    payload   BLOB    NOT NULL, -- the event array and its attachments, byte for byte
    lengths   TEXT    NOT NULL, -- of the attachments, as in the header Natter-Attachments
    redacted  INTEGER NOT NULL,
    edited    INTEGER NOT NULL DEFAULT 0, -- when last, Unix nanoseconds; 0: never
    deleted   INTEGER NOT NULL DEFAULT 0, -- when, Unix nanoseconds; 0: it is there
    copied    INTEGER NOT NULL DEFAULT 0, -- when JetStream copied it for history, Unix nanoseconds; 0: not known. By it what is delivered again is known
    UNIQUE (epoch, sequence)
) STRICT;
CREATE INDEX messages_of_author ON messages (author, epoch, sequence) WHERE author <> '';

-- Where a message belongs: a page of a room is a range of this key, at any size of any room.
CREATE TABLE places (
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL, -- 'all', 'room.<room>', or 'socket' if it belongs to no room
    epoch     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    message   INTEGER NOT NULL REFERENCES messages (id),
    PRIMARY KEY (namespace, target, epoch, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX places_of_message ON places (message);

-- The incarnations of the main stream that have been seen. It has more than one where it went back.
CREATE TABLE incarnations (
    identity TEXT PRIMARY KEY,
    epoch    INTEGER NOT NULL UNIQUE,
    first    INTEGER NOT NULL DEFAULT 1 -- the sequence from which on it is this one
) STRICT, WITHOUT ROWID;

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
    until  INTEGER NOT NULL, -- Unix nanoseconds; the greatest number if the user is deleted
    done   INTEGER NOT NULL DEFAULT FALSE -- whether all that it takes out is out
) STRICT, WITHOUT ROWID;
CREATE INDEX erased_in_part ON erased (author) WHERE NOT done;

-- Messages that were deleted before they came: the posts of an empty database are stored again. Few are left over, of
-- messages that are not in the stream of posts any more.
CREATE TABLE gone (
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    author   TEXT NOT NULL, -- who deleted it, '' if nobody was signed in
    time     INTEGER NOT NULL, -- Unix nanoseconds
    PRIMARY KEY (epoch, sequence)
) STRICT, WITHOUT ROWID;

-- What clients must still be told, written in the transaction that changes something.
CREATE TABLE outbox (
    topic     TEXT PRIMARY KEY,
    epoch     INTEGER NOT NULL, -- with sequence: grows on each topic
    sequence  INTEGER NOT NULL,
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    event     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- How far users have read.
CREATE TABLE marks (
    author    TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    epoch     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    PRIMARY KEY (author, namespace, target)
) STRICT, WITHOUT ROWID;

-- The main stream's incarnations, each with a number that fits into the key of its messages in words.
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch  INTEGER NOT NULL UNIQUE
) STRICT;
-- +goose StatementBegin
CREATE TRIGGER messages_of_epochs AFTER INSERT ON messages BEGIN
    INSERT INTO epochs (epoch) SELECT new.epoch WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE epoch = new.epoch);
END;
-- +goose StatementEnd

-- The words of messages, told apart and with their case folded already, and where they were said. The key has the
-- number of the epoch and, in its last 48 bits, the sequence: so it is in the order in which they were said.
CREATE VIRTUAL TABLE words USING fts5 (places, text, tokenize = 'ascii', detail = column, columnsize = 0);
-- Overwrite the words that are taken out.
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
