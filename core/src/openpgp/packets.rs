//! Packets one after the other, whole in memory.

use std::io;

use pgp::{
    packet::{Packet, PacketHeader},
    types::{PacketLength, Tag},
};

use super::OpenPgpError;

/// The packets of a signature or of one key. The packet library reads from streams, and has a
/// buffer for each packet, which takes longer than reading it.
#[derive(Clone, Debug)]
pub(super) struct Packets<'a>(&'a [u8]);

/// A packet that has not been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawPacket<'a> {
    header: PacketHeader,
    bytes: &'a [u8],
    body: &'a [u8],
}

impl<'a> Packets<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns what has not been split.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn split(&mut self) -> Result<RawPacket<'a>, OpenPgpError> {
        let mut body = self.0;
        let header = PacketHeader::try_from_reader(&mut body)
            .map_err(|error| OpenPgpError::packet(error.into()))?;
        // What we read so is never written in parts, nor up to an end that nobody says.
        let PacketLength::Fixed(length) = header.packet_length() else {
            return Err(OpenPgpError::NotCanonical);
        };
        let ends = usize::try_from(length).ok();
        let (body, rest) = ends
            .and_then(|length| body.split_at_checked(length))
            .ok_or_else(|| {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                OpenPgpError::packet(error.into())
            })?;
        let (bytes, _) = self.0.split_at(self.0.len() - rest.len());
        self.0 = rest;
        Ok(RawPacket {
            header,
            bytes,
            body,
        })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<RawPacket<'a>, OpenPgpError>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = (!self.0.is_empty()).then(|| self.split())?;
        // Behind what cannot be split there is no next packet.
        if packet.is_err() {
            self.0 = &[];
        }
        Some(packet)
    }
}

impl<'a> RawPacket<'a> {
    pub(super) fn tag(&self) -> Tag {
        self.header.tag()
    }

    /// Returns the packet with its header.
    pub(super) const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn read(&self) -> Result<Packet, OpenPgpError> {
        Packet::from_reader(self.header, self.body).map_err(OpenPgpError::packet)
    }
}
