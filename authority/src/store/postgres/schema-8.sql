-- Of everything that was ever issued, a revocation finds the session of a
-- certificate, and a retirement the last end. Most rows are of one payload, and no session's.
CREATE INDEX issued_by_serial ON issued (serial) WHERE payload_sha256 IS NULL;
CREATE INDEX issued_by_end ON issued (epoch, not_after);

-- Where the instances that share the store are reached, all at one place.
ALTER TABLE authority ADD COLUMN url TEXT;

-- 1 while the keys of a retired epoch are being destroyed: nobody signs with them any more, and
-- whoever was interrupted goes on.
ALTER TABLE epoch ADD COLUMN leaving BIGINT NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1));
