//! What was read last, for what is read again and again: a session has one key, and each of its
//! certificates names it.

/// A few values by the bytes that they were read from. What was read is forgotten when something
/// else takes its place, which costs time and changes no answer.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    slots: [Option<(Box<[u8]>, T)>; SLOTS],
}

impl<T: Clone> Recent<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { None }; SLOTS],
        }
    }

    /// Returns what was read from the same bytes, or reads them. What cannot be read is not kept.
    pub(crate) fn get_or_read<E>(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, E> {
        // Keys end with what is their own.
        let own = bytes.last().copied().unwrap_or_default();
        let slot = self.slots.get_mut(usize::from(own) % SLOTS);
        let Some(slot) = slot.filter(|_| bytes.len() <= LENGTH_MAX) else {
            return read(bytes);
        };
        if let Some((known, value)) = slot
            && **known == *bytes
        {
            return Ok(value.clone());
        }
        let value = read(bytes)?;
        *slot = Some((bytes.into(), value.clone()));
        Ok(value)
    }
}

/// As many sessions may take turns.
const SLOTS: usize = 16;
/// Session keys are shorter; what is longer is somebody's own, and read once.
const LENGTH_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_would_be_read() {
        let mut recent = Recent::new();
        let mut reads = 0;
        // Some bytes share a slot, some are too long to be kept, and some cannot be read.
        let inputs: [&[u8]; 6] = [&[1], &[17], &[2, 1], &[], &[7; 300], &[0xff]];
        for _ in 0..3 {
            for (bytes, again) in inputs.into_iter().flat_map(|it| [(it, false), (it, true)]) {
                let before = reads;
                let value = recent.get_or_read(bytes, |bytes| {
                    reads += 1;
                    match bytes {
                        [0xff] => Err(()),
                        bytes => Ok(bytes.to_vec()),
                    }
                });
                let is_kept = bytes.len() < 300 && bytes != [0xff];
                assert_eq!(
                    value,
                    if bytes == [0xff] {
                        Err(())
                    } else {
                        Ok(bytes.to_vec())
                    }
                );
                assert!(!again || (reads == before) == is_kept);
            }
        }
    }
}
