//! The key agent's protocol: frames on a unix socket, and the messages in them.
//!
//! A frame is `u32 length of the rest ‖ u8 version ‖ u32 header length ‖ header ‖ body`, numbers
//! big-endian. The header is JSON and holds no secret, so it may be logged; the body is bytes: the
//! payload to sign, or an enrolment token. One request, one answer, as often as the client likes.

use std::io::{self, Read, Write};

mod message;

pub use message::{
    ArmoredAnswer, AttestAnswer, Basis, CredentialsAnswer, Fallback, LendAnswer, MemoryProtection,
    Purpose, Refusal, Request, Response, SessionState, SessionStatus, SessionsAnswer, SignAnswer,
    SignatureKind, StatusAnswer, StopAnswer,
};

/// The protocol version we speak.
pub const VERSION: u8 = 1;
/// The longest header, in bytes.
pub const HEADER_LIMIT: usize = 64 * 1024;
/// The longest body, in bytes: more than any commit, tag or push certificate worth signing.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// A frame: a header and a body, within their limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Frame {
    /// Builds a frame.
    ///
    /// # Errors
    /// [`FrameError::HeaderTooLong`] and [`FrameError::BodyTooLong`].
    pub fn new(header: Vec<u8>, body: Vec<u8>) -> Result<Self, FrameError> {
        FrameHead::checked(header.len(), body.len())?;
        Ok(Self { header, body })
    }

    /// Reads the next frame, or `None` when the stream ends before one begins.
    ///
    /// Memory grows with the bytes that arrive, not with the length that is announced.
    ///
    /// # Errors
    /// [`FrameError`], also when the stream ends inside a frame.
    pub fn read(reader: &mut impl Read) -> Result<Option<Self>, FrameError> {
        let mut up_to = |length: usize| -> Result<Vec<u8>, FrameError> {
            let limit = u64::try_from(length).unwrap_or(u64::MAX);
            let mut bytes = Vec::with_capacity(length.min(AT_ONCE));
            reader.by_ref().take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let head = up_to(FrameHead::SIZE)?;
        if head.is_empty() {
            return Ok(None);
        }
        let head = head.try_into().map_err(|_| FrameError::Truncated)?;
        let head = FrameHead::parse(head)?;
        let mut part = |length| {
            let bytes = up_to(length)?;
            match bytes.len() == length {
                true => Ok(bytes),
                false => Err(FrameError::Truncated),
            }
        };
        Ok(Some(Self {
            header: part(head.header)?,
            body: part(head.body)?,
        }))
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub fn write(&self, writer: &mut impl Write) -> Result<(), FrameError> {
        writer.write_all(&self.encode())?;
        Ok(writer.flush()?)
    }

    /// Returns the frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let head = FrameHead {
            header: self.header.len(),
            body: self.body.len(),
        };
        [&head.encode()[..], &self.header, &self.body].concat()
    }

    /// Returns the JSON header.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Gives up header and body.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.header, self.body)
    }
}

/// What a frame begins with: lengths that were checked before anything is allocated for them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHead {
    header: usize,
    body: usize,
}

impl FrameHead {
    /// Its length on the wire.
    pub const SIZE: usize = 9;

    /// Parses the first bytes of a frame.
    ///
    /// # Errors
    /// [`FrameError::Version`], [`FrameError::Lengths`], [`FrameError::HeaderTooLong`] and
    /// [`FrameError::BodyTooLong`].
    pub fn parse(head: [u8; Self::SIZE]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, version, h0, h1, h2, h3] = head;
        if version != VERSION {
            return Err(FrameError::Version { found: version });
        }
        let length = |bytes| usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX);
        let header = length([h0, h1, h2, h3]);
        let body = length([l0, l1, l2, l3])
            .checked_sub(AFTER_LENGTH)
            .and_then(|rest| rest.checked_sub(header))
            .ok_or(FrameError::Lengths)?;
        Self::checked(header, body)
    }

    /// Returns the header's length.
    pub fn header(&self) -> usize {
        self.header
    }

    /// Returns the body's length.
    pub fn body(&self) -> usize {
        self.body
    }

    fn checked(header: usize, body: usize) -> Result<Self, FrameError> {
        if header > HEADER_LIMIT {
            return Err(FrameError::HeaderTooLong);
        }
        if body > BODY_LIMIT {
            return Err(FrameError::BodyTooLong);
        }
        Ok(Self { header, body })
    }

    fn encode(self) -> [u8; Self::SIZE] {
        // Both are below their limits, far below 2^32.
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let [l0, l1, l2, l3] = number(AFTER_LENGTH + self.header + self.body);
        let [h0, h1, h2, h3] = number(self.header);
        [l0, l1, l2, l3, VERSION, h0, h1, h2, h3]
    }
}

/// So many bytes are made room for before they come; most frames are shorter.
const AT_ONCE: usize = 8 * 1024;
/// The bytes between the length and the header: version and header length.
const AFTER_LENGTH: usize = 5;

/// The bytes are not a frame, or could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Another version of the protocol.
    #[error("the frame is of protocol version {found}, not {VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The header does not fit into the frame.
    #[error("the frame's lengths contradict each other")]
    Lengths,
    /// The header is over [`HEADER_LIMIT`].
    #[error("the frame's header is longer than {HEADER_LIMIT} bytes")]
    HeaderTooLong,
    /// The body is over [`BODY_LIMIT`].
    #[error("the frame's body is longer than {BODY_LIMIT} bytes")]
    BodyTooLong,
    /// The stream ended inside the frame.
    #[error("the frame is cut short")]
    Truncated,
    /// The stream failed.
    #[error("could not read or write the frame")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(b"{}".to_vec(), b"payload".to_vec()).unwrap()
    }

    fn read(mut bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        Frame::read(&mut bytes)
    }

    #[test]
    fn reads_what_it_writes() {
        let mut bytes = Vec::new();
        frame().write(&mut bytes).unwrap();
        assert_eq!(read(&bytes).unwrap(), Some(frame()));
        assert_eq!(bytes, b"\0\0\0\x0e\x01\0\0\0\x02{}payload");
    }

    #[test]
    fn reads_several_frames_one_after_another() {
        let bytes = [frame().encode(), frame().encode()].concat();
        let mut rest = &bytes[..];
        assert!(Frame::read(&mut rest).unwrap().is_some());
        assert!(Frame::read(&mut rest).unwrap().is_some());
        assert!(Frame::read(&mut rest).unwrap().is_none());
    }

    #[test]
    fn tells_an_ended_stream_from_a_cut_one() {
        let bytes = frame().encode();
        assert!(read(&[]).unwrap().is_none());
        for end in 1..bytes.len() {
            let error = read(&bytes[..end]).unwrap_err();
            assert!(
                matches!(error, FrameError::Truncated),
                "cut at {end}: {error}"
            );
        }
    }

    #[test]
    fn refuses_another_version() {
        let mut bytes = frame().encode();
        bytes[4] = 2;
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, FrameError::Version { found: 2 }));
    }

    #[test]
    fn refuses_lengths_over_the_limit_before_it_reads_on() {
        // Nothing follows the head: a reader that waited for the bytes would say "cut short".
        let head = |header, body| FrameHead { header, body }.encode();
        let error = read(&head(HEADER_LIMIT + 1, 0)).unwrap_err();
        assert!(matches!(error, FrameError::HeaderTooLong));
        let error = read(&head(0, BODY_LIMIT + 1)).unwrap_err();
        assert!(matches!(error, FrameError::BodyTooLong));
        let error = read(&[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0]).unwrap_err();
        assert!(matches!(error, FrameError::BodyTooLong));
    }

    #[test]
    fn refuses_lengths_that_contradict_each_other() {
        for bytes in [
            [0, 0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 4, 1, 0, 0, 0, 0],
            [0, 0, 0, 5, 1, 0, 0, 0, 1],
            [0, 0, 0, 9, 1, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(matches!(read(&bytes).unwrap_err(), FrameError::Lengths));
        }
    }

    #[test]
    fn allows_both_limits_exactly() {
        let largest = Frame::new(vec![b' '; HEADER_LIMIT], vec![0; BODY_LIMIT]).unwrap();
        assert_eq!(read(&largest.encode()).unwrap(), Some(largest));
    }

    #[test]
    fn builds_nothing_over_the_limits() {
        let error = Frame::new(vec![0; HEADER_LIMIT + 1], Vec::new()).unwrap_err();
        assert!(matches!(error, FrameError::HeaderTooLong));
        let error = Frame::new(Vec::new(), vec![0; BODY_LIMIT + 1]).unwrap_err();
        assert!(matches!(error, FrameError::BodyTooLong));
    }
}
