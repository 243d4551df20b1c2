-- 1 while the keys of a retired epoch are being destroyed: nobody signs with them any more, and
-- whoever was interrupted goes on.
ALTER TABLE epoch ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1));
