-- +goose Up

-- Every post, once. Namespaces and targets are subject tokens.
CREATE TABLE messages (
    id        INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL, -- creation of the main stream, Unix milliseconds
    sequence  INTEGER NOT NULL, -- in the main stream
    namespace TEXT    NOT NULL,
    socket    TEXT    NOT NULL, -- '' if a service said it
    user      TEXT    NOT NULL, -- '' if nobody was signed in
    name      TEXT    NOT NULL,
    time      INTEGER NOT NULL, -- Unix nanoseconds
    payload   BLOB    NOT NULL, -- the event array and its attachments, byte for byte
    lengths   TEXT    NOT NULL, -- of the attachments, as in the header Natter-Attachments
    redacted  INTEGER NOT NULL,
    UNIQUE (epoch, sequence)
) STRICT;

-- What a deleted user said and is not redacted yet.
CREATE INDEX messages_of_user ON messages (user) WHERE user <> '' AND redacted = 0;

-- Where a message belongs: a page of a room is a range of this key, at any size of any room.
CREATE TABLE places (
    namespace TEXT    NOT NULL,
    target    TEXT    NOT NULL, -- 'all' or 'room.<room>'
    epoch     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    message   INTEGER NOT NULL REFERENCES messages (id),
    PRIMARY KEY (namespace, target, epoch, sequence)
) STRICT, WITHOUT ROWID;

-- The incarnations of the main stream that have been seen.
CREATE TABLE incarnations (
    identity TEXT PRIMARY KEY,
    epoch    INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- Users whose messages are redacted, those too that arrive after the deletion.
CREATE TABLE deleted_users (
    user TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What clients must still be told, written in the transaction that redacts.
CREATE TABLE announcements (
    namespace TEXT    NOT NULL,
    user      TEXT    NOT NULL,
    epoch     INTEGER NOT NULL, -- the newest message redacted
    sequence  INTEGER NOT NULL,
    PRIMARY KEY (namespace, user)
) STRICT, WITHOUT ROWID;
