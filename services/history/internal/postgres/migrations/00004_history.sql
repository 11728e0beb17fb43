-- +goose Up

-- Versions of lower numbers were never released. The same tables as in SQLite: the statements of package database are for both. Namespaces and targets are subject
-- tokens, in the order of their bytes.

-- Every post, once.
CREATE TABLE messages (
    id        BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch     BIGINT  NOT NULL, -- creation of the main stream, Unix milliseconds
    sequence  BIGINT  NOT NULL, -- in the main stream
    namespace TEXT    COLLATE "C" NOT NULL,
    socket    TEXT    NOT NULL, -- '' if a service said it
    author    TEXT    COLLATE "C" NOT NULL, -- '' if nobody was signed in
    name      TEXT    NOT NULL,
    time      BIGINT  NOT NULL, -- Unix nanoseconds
    payload   BYTEA   NOT NULL, -- the event array and its attachments, byte for byte
    lengths   TEXT    NOT NULL, -- of the attachments, as in the header Natter-Attachments
    redacted  BOOLEAN NOT NULL,
    edited    BIGINT  NOT NULL DEFAULT 0, -- when last, Unix nanoseconds; 0: never
    deleted   BIGINT  NOT NULL DEFAULT 0, -- when, Unix nanoseconds; 0: it is there
    copied    BIGINT  NOT NULL DEFAULT 0, -- when JetStream copied it for history, Unix nanoseconds; 0: not known. By it what is delivered again is known
    UNIQUE (epoch, sequence)
);
CREATE INDEX messages_of_author ON messages (author, epoch, sequence) WHERE author <> '';

-- Where a message belongs: a page of a room is a range of this key, at any size of any room.
CREATE TABLE places (
    namespace TEXT   COLLATE "C" NOT NULL,
    target    TEXT   COLLATE "C" NOT NULL, -- 'all', 'room.<room>', or 'socket' if it belongs to no room
    epoch     BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    message   BIGINT NOT NULL,
    PRIMARY KEY (namespace, target, epoch, sequence)
);
CREATE INDEX places_of_message ON places (message);

-- The incarnations of the main stream that have been seen. It has more than one where it went back.
CREATE TABLE incarnations (
    identity TEXT   PRIMARY KEY,
    epoch    BIGINT NOT NULL UNIQUE,
    first    BIGINT NOT NULL DEFAULT 1 -- the sequence from which on it is this one
);

-- The trail of a message: what it was before each change, and who changed it.
CREATE TABLE changes (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message BIGINT NOT NULL,
    action  TEXT   NOT NULL, -- 'edit' or 'delete'
    author  TEXT   COLLATE "C" NOT NULL, -- '' if nobody was signed in
    socket  TEXT   NOT NULL,
    name    TEXT   NOT NULL, -- '' once the user is erased
    time    BIGINT NOT NULL, -- Unix nanoseconds
    payload BYTEA  NOT NULL, -- before the change; the event's name alone once the author is erased
    lengths TEXT   NOT NULL
);
CREATE INDEX changes_of_message ON changes (message);
CREATE INDEX changes_of_author ON changes (author) WHERE author <> '';

-- Until when what a user said is erased, also what arrives later.
CREATE TABLE erased (
    author TEXT   COLLATE "C" PRIMARY KEY,
    until  BIGINT  NOT NULL, -- Unix nanoseconds; the greatest number if the user is deleted
    done   BOOLEAN NOT NULL DEFAULT FALSE -- whether all that it takes out is out
);
CREATE INDEX erased_in_part ON erased (author) WHERE NOT done;

-- Messages that were deleted before they came: the posts of an empty database are stored again. Few are left over, of
-- messages that are not in the stream of posts any more.
CREATE TABLE gone (
    epoch    BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    author   TEXT COLLATE "C" NOT NULL, -- who deleted it, '' if nobody was signed in
    time     BIGINT NOT NULL, -- Unix nanoseconds
    PRIMARY KEY (epoch, sequence)
);

-- What clients must still be told, written in the transaction that changes something.
CREATE TABLE outbox (
    topic     TEXT   COLLATE "C" PRIMARY KEY,
    epoch     BIGINT NOT NULL, -- with sequence: grows on each topic
    sequence  BIGINT NOT NULL,
    namespace TEXT   NOT NULL,
    target    TEXT   NOT NULL,
    event     BYTEA  NOT NULL
);

-- How far users have read.
CREATE TABLE marks (
    author    TEXT   COLLATE "C" NOT NULL,
    namespace TEXT   COLLATE "C" NOT NULL,
    target    TEXT   COLLATE "C" NOT NULL,
    epoch     BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    PRIMARY KEY (author, namespace, target)
);

-- The words of messages, where they were said, and in which windows of the main stream.
CREATE TABLE words (
    message BIGINT   PRIMARY KEY,
    words   TSVECTOR NOT NULL
);
-- What waits to be put into the index is looked through by every search.
CREATE INDEX words_of_messages ON words USING GIN (words) WITH (gin_pending_list_limit = 256);

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
