-- +goose Up

-- Whether all that an erasure takes out is out. What earlier versions have done is looked through once more.
ALTER TABLE erased ADD COLUMN done BOOLEAN NOT NULL DEFAULT FALSE;
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

-- Nobody has read further than to the newest message.
UPDATE marks SET (epoch, sequence) = (SELECT epoch, sequence FROM messages ORDER BY epoch DESC, sequence DESC LIMIT 1)
    WHERE (epoch, sequence) > (SELECT epoch, sequence FROM messages ORDER BY epoch DESC, sequence DESC LIMIT 1);
