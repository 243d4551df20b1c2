//! The encodings of RFC 4251 section 5, read within bounds and without copying.

/// Bytes that end too early, or are not what the encoding allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// A length reaches beyond the end.
    #[error("the data ends too early")]
    Truncated,
    /// Bytes are left over.
    #[error("data follows the end")]
    Trailing,
    /// Text that is not UTF-8 or has a NUL in it.
    #[error("a text is not UTF-8 or contains a NUL")]
    Text,
    /// A number that is negative or longer than its place.
    #[error("a number is negative or too long")]
    Number,
}

/// Reads fields one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Tells whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns what was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads `length` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Reads a `byte`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn byte(&mut self) -> Result<u8, WireError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Reads a `uint32`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `uint64`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a `string`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).map_err(|_| WireError::Truncated)?;
        self.bytes(length)
    }

    /// Reads a `string` that is text: UTF-8 without NUL.
    ///
    /// # Errors
    /// [`WireError::Truncated`] or [`WireError::Text`].
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let text = std::str::from_utf8(self.string()?).map_err(|_| WireError::Text)?;
        match text.contains('\0') {
            true => Err(WireError::Text),
            false => Ok(text),
        }
    }

    /// Reads an `mpint` that is not negative, and returns its digits without leading zeros.
    ///
    /// Superfluous zeros are passed over as OpenSSH does: some signers write them.
    ///
    /// # Errors
    /// [`WireError::Truncated`], or [`WireError::Number`] for a negative one.
    pub fn unsigned(&mut self) -> Result<&'a [u8], WireError> {
        let digits = self.string()?;
        if digits.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(WireError::Number);
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        Ok(digits.get(zeros..).unwrap_or_default())
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WireError::Trailing`] when something is left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(WireError::Trailing),
        }
    }
}

/// Writes fields one after the other.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a `byte`.
    #[must_use]
    pub fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }

    /// Appends a `uint32`.
    #[must_use]
    pub fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a `uint64`.
    #[must_use]
    pub fn u64(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a `string`. One that is longer than its length field can say is cut, which only a
    /// caller with four gigabytes in hand could bring about; it reads as truncated then.
    #[must_use]
    pub fn string(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(length).bytes(bytes)
    }

    /// Appends an `mpint` that is not negative, given its digits.
    #[must_use]
    pub fn unsigned(self, digits: &[u8]) -> Self {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let digits = digits.get(zeros..).unwrap_or_default();
        match digits.first() {
            Some(first) if first & 0x80 != 0 => self.string(&[&[0], digits].concat()),
            Some(_) | None => self.string(digits),
        }
    }

    /// Returns what was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
