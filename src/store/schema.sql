-- The journal of ogflow: events, and the projections that guard money.
-- Nothing is ever deleted; what may change is listed by the triggers below.
-- What is checked with every row has no IN of more than two values: SQLite makes a table in memory
-- for each such list, each time, and half of an append would go into that.

CREATE TABLE origin (id TEXT NOT NULL) STRICT;
INSERT INTO origin (id) VALUES (lower(hex(randomblob(16))));

CREATE TABLE lane (
  id         INTEGER PRIMARY KEY,
  chain_id   INTEGER NOT NULL,
  genesis    BLOB NOT NULL CHECK (length(genesis) = 32),
  wallet     BLOB NOT NULL CHECK (length(wallet) = 20),
  next_nonce INTEGER NOT NULL DEFAULT 0,
  epoch      INTEGER NOT NULL DEFAULT 0,
  holder     TEXT NOT NULL DEFAULT '',
  UNIQUE (chain_id, genesis, wallet)
) STRICT;

CREATE TABLE run (
  id         INTEGER PRIMARY KEY,
  run        TEXT NOT NULL UNIQUE,
  lane       INTEGER NOT NULL REFERENCES lane (id),
  pipeline   TEXT NOT NULL,
  network    TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  state      TEXT NOT NULL,
  summary    TEXT NOT NULL DEFAULT 'null'
) STRICT;

CREATE TABLE event (
  run   INTEGER NOT NULL REFERENCES run (id),
  seq   INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  at    INTEGER NOT NULL,
  kind  TEXT NOT NULL,
  body  TEXT NOT NULL,
  sum   INTEGER NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE slot (
  lane    INTEGER NOT NULL REFERENCES lane (id),
  nonce   INTEGER NOT NULL,
  run     INTEGER NOT NULL REFERENCES run (id),
  task    BLOB NOT NULL CHECK (length(task) = 16),
  purpose TEXT NOT NULL CHECK (purpose = 'publish' OR purpose = 'confirm' OR purpose = 'cancel'
                               OR purpose = 'deposit'),
  binding BLOB NOT NULL CHECK (length(binding) = 32),
  state   TEXT NOT NULL CHECK (state = 'open' OR state = 'mined' OR state = 'final_ok'
                               OR state = 'final_reverted' OR state = 'final_foreign'
                               OR state = 'final_noop'),
  PRIMARY KEY (lane, nonce)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX slot_binding ON slot (task, purpose)
  WHERE state = 'open' OR state = 'mined' OR state = 'final_ok';
CREATE INDEX slot_open ON slot (lane, nonce) WHERE state IN ('open', 'mined');

-- binding is NULL for a no-op.
CREATE TABLE signed (
  lane    INTEGER NOT NULL,
  nonce   INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  hash    BLOB NOT NULL CHECK (length(hash) = 32),
  raw     BLOB NOT NULL,
  binding BLOB,
  fees    TEXT NOT NULL,
  sum     INTEGER NOT NULL,
  PRIMARY KEY (lane, nonce, seq),
  FOREIGN KEY (lane, nonce) REFERENCES slot (lane, nonce)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
  run    INTEGER PRIMARY KEY REFERENCES run (id),
  number INTEGER NOT NULL,
  hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE output (
  sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
  body   BLOB NOT NULL
) STRICT;

CREATE TRIGGER origin_stays BEFORE DELETE ON origin
BEGIN SELECT RAISE(ABORT, 'a database keeps its id'); END;
CREATE TRIGGER origin_is_fixed BEFORE UPDATE ON origin
BEGIN SELECT RAISE(ABORT, 'a database keeps its id'); END;

CREATE TRIGGER event_stays BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
CREATE TRIGGER event_is_fixed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'an event never changes'); END;

CREATE TRIGGER run_stays BEFORE DELETE ON run
BEGIN SELECT RAISE(ABORT, 'a run is never deleted'); END;
CREATE TRIGGER run_is_fixed BEFORE UPDATE OF id, run, lane, pipeline, network, started_at ON run
BEGIN SELECT RAISE(ABORT, 'a run never changes what it is'); END;

CREATE TRIGGER lane_stays BEFORE DELETE ON lane
BEGIN SELECT RAISE(ABORT, 'a lane is never deleted'); END;
CREATE TRIGGER lane_goes_on BEFORE UPDATE ON lane
WHEN NEW.id <> OLD.id OR NEW.chain_id <> OLD.chain_id OR NEW.genesis <> OLD.genesis
  OR NEW.wallet <> OLD.wallet OR NEW.next_nonce < OLD.next_nonce OR NEW.epoch < OLD.epoch
BEGIN SELECT RAISE(ABORT, 'a lane never goes back'); END;

CREATE TRIGGER slot_stays BEFORE DELETE ON slot
BEGIN SELECT RAISE(ABORT, 'a slot is never deleted'); END;
CREATE TRIGGER slot_is_bound BEFORE UPDATE OF lane, nonce, run, task, purpose, binding ON slot
BEGIN SELECT RAISE(ABORT, 'a slot never changes what it is for'); END;
CREATE TRIGGER slot_ends_once BEFORE UPDATE OF state ON slot
WHEN OLD.state NOT IN ('open', 'mined') AND NEW.state <> OLD.state
BEGIN SELECT RAISE(ABORT, 'a final slot never changes'); END;

CREATE TRIGGER signed_stays BEFORE DELETE ON signed
BEGIN SELECT RAISE(ABORT, 'a signed version is never deleted'); END;
CREATE TRIGGER signed_is_fixed BEFORE UPDATE ON signed
BEGIN SELECT RAISE(ABORT, 'a signed version never changes'); END;
CREATE TRIGGER signed_fits BEFORE INSERT ON signed
WHEN NEW.binding IS NOT NULL AND (
  NEW.binding <> (SELECT binding FROM slot WHERE lane = NEW.lane AND nonce = NEW.nonce)
  OR EXISTS (SELECT 1 FROM signed
             WHERE lane = NEW.lane AND nonce = NEW.nonce AND binding IS NULL))
BEGIN SELECT RAISE(ABORT, 'a version does what its slot is for'); END;

CREATE TRIGGER cursor_stays BEFORE DELETE ON cursor
BEGIN SELECT RAISE(ABORT, 'a cursor is never deleted'); END;
CREATE TRIGGER output_stays BEFORE DELETE ON output
BEGIN SELECT RAISE(ABORT, 'an output is never deleted'); END;
CREATE TRIGGER output_is_fixed BEFORE UPDATE ON output
BEGIN SELECT RAISE(ABORT, 'an output never changes'); END;
