-- The log (protocol 7): records in order, and nothing else. What the bytes mean is coordinator/log's.
-- The chain is checked by the program; the checks here only keep a foreign hand from storing what cannot be a record.
CREATE TABLE event (
    seq       INTEGER PRIMARY KEY CHECK (seq > 0),
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    bytes     BLOB NOT NULL
) STRICT;

-- One row: whose log this is, the highest epoch that was acquired, and where a backup was taken (0: this is none).
CREATE TABLE log (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    fleet      BLOB NOT NULL CHECK (length(fleet) = 16),
    epoch      INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    backup_seq INTEGER NOT NULL DEFAULT 0 CHECK (backup_seq >= 0)
) STRICT;
