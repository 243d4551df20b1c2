//! Transferable public keys (RFC 9580 section 10.1): a primary key and what was said of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use pgp::{
    packet::{Packet, PacketParser, PacketTrait as _},
    types::Tag,
};

use super::{
    ArmorKind, Key, OpenPgpError, PACKETS_MAX, Signature, SignatureKind,
    armor::{dearmor_all, is_text},
    dearmor,
    packets::Packets,
};

/// A primary key with its user ids, its subkeys, and every signature that stands beside them.
/// None of the signatures has been checked.
#[derive(Clone, Debug)]
pub struct KeyBlock {
    primary: Arc<Key>,
    direct: Vec<Signature>,
    user_ids: Vec<UserId>,
    subkeys: Vec<Subkey>,
}

/// A name, and what was said of it.
#[derive(Clone, Debug)]
pub struct UserId {
    pub(super) packet: pgp::packet::UserId,
    pub(super) signatures: Vec<Signature>,
}

/// A subkey, and what was said of it.
#[derive(Clone, Debug)]
pub struct Subkey {
    key: Key,
    signatures: Vec<Signature>,
}

impl KeyBlock {
    pub(super) fn new(primary: Key, user_id: UserId) -> Self {
        Self {
            user_ids: vec![user_id],
            ..Self::bare(Arc::new(primary))
        }
    }

    /// Reads exactly one key, strictly: every packet must be one that belongs there and be in the
    /// form in which it would be written.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        if bytes.len() > PACKETS_MAX {
            return Err(OpenPgpError::TooLarge);
        }
        let mut packets = Packets::of(bytes);
        let primary = packets.next().ok_or(OpenPgpError::NotKey)??;
        let mut block = Self::bare(Key::from_packet(primary)?);
        let rest = packets.rest();
        for packet in packets {
            match packet?.read()? {
                Packet::UserId(packet) => block.push_user_id(packet),
                Packet::PublicSubkey(packet) => block.push_subkey(Key::subkey(packet)?),
                Packet::Signature(packet) => block.push_signature(Signature::of_packet(packet)?),
                _ => return Err(OpenPgpError::NotKey),
            }
        }
        let mut written = Vec::with_capacity(rest.len());
        block.write_rest(&mut written)?;
        match written == rest {
            true => Ok(block),
            false => Err(OpenPgpError::NotCanonical),
        }
    }

    /// Reads the armor of exactly one key, as [`KeyBlock::from_bytes`] does.
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        Self::from_bytes(&dearmor(ArmorKind::PublicKeys, text.as_bytes())?)
    }

    /// Returns the packets.
    ///
    /// # Errors
    /// [`OpenPgpError::Packet`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, OpenPgpError> {
        let mut bytes = self.primary.to_packet()?;
        self.write_rest(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes what stands behind the primary key.
    fn write_rest(&self, bytes: &mut Vec<u8>) -> Result<(), OpenPgpError> {
        for signature in &self.direct {
            signature.write(bytes)?;
        }
        for user_id in &self.user_ids {
            user_id
                .packet
                .to_writer_with_header(bytes)
                .map_err(OpenPgpError::packet)?;
            for signature in &user_id.signatures {
                signature.write(bytes)?;
            }
        }
        for subkey in &self.subkeys {
            bytes.extend(subkey.key.to_packet()?);
            for signature in &subkey.signatures {
                signature.write(bytes)?;
            }
        }
        Ok(())
    }

    /// Returns the primary key.
    pub fn primary(&self) -> &Key {
        &self.primary
    }

    /// Returns the signatures on the primary key as a whole.
    pub fn direct(&self) -> &[Signature] {
        &self.direct
    }

    /// Returns the user ids.
    pub fn user_ids(&self) -> &[UserId] {
        &self.user_ids
    }

    /// Returns the subkeys.
    pub fn subkeys(&self) -> &[Subkey] {
        &self.subkeys
    }

    /// Joins copies of one key to one, as `gpg --import` does: what any of them holds, once. Blocks
    /// of other keys than the first add nothing; without any there is none.
    pub fn unite<'a>(copies: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut copies = copies.into_iter().peekable();
        let primary = Arc::clone(&copies.peek()?.primary);
        let mut held = Held::default();
        let mut all = Self::bare(primary);
        for copy in copies {
            if copy.primary.body() != all.primary.body() {
                continue;
            }
            held.add(Part::Whole, &mut all.direct, &copy.direct);
            for user_id in &copy.user_ids {
                let part = Part::UserId(user_id.packet.id());
                let place = held.place(part, all.user_ids.len());
                if place == all.user_ids.len() {
                    all.push_user_id(user_id.packet.clone());
                }
                if let Some(known) = all.user_ids.get_mut(place) {
                    held.add(part, &mut known.signatures, &user_id.signatures);
                }
            }
            for subkey in &copy.subkeys {
                let part = Part::Subkey(subkey.key.body());
                let place = held.place(part, all.subkeys.len());
                if place == all.subkeys.len() {
                    all.push_subkey(subkey.key.clone());
                }
                if let Some(known) = all.subkeys.get_mut(place) {
                    held.add(part, &mut known.signatures, &subkey.signatures);
                }
            }
        }
        Some(all)
    }

    fn bare(primary: Arc<Key>) -> Self {
        Self {
            primary,
            direct: Vec::new(),
            user_ids: Vec::new(),
            subkeys: Vec::new(),
        }
    }

    /// Adds somebody's word for the one user id.
    pub(super) fn certify(&mut self, certification: Signature) -> Result<(), OpenPgpError> {
        let user_id = self.user_ids.first_mut().ok_or(OpenPgpError::NotKey)?;
        user_id.signatures.push(certification);
        Ok(())
    }

    /// Adds a packet that belongs to a key.
    fn take(&mut self, packet: Packet) -> Option<()> {
        match packet {
            Packet::UserId(packet) => self.push_user_id(packet),
            Packet::PublicSubkey(packet) => self.push_subkey(Key::subkey(packet).ok()?),
            Packet::Signature(packet) => self.push_signature(Signature::of_packet(packet).ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Adds what takes back the whole key, and nothing else.
    fn take_revocation(&mut self, packet: Packet) {
        if let Packet::Signature(packet) = packet
            && let Ok(signature) = Signature::of_packet(packet)
            && signature.kind() == SignatureKind::KeyRevocation
        {
            self.push_signature(signature);
        }
    }

    fn push_user_id(&mut self, packet: pgp::packet::UserId) {
        self.user_ids.push(UserId {
            packet,
            signatures: Vec::new(),
        });
    }

    fn push_subkey(&mut self, key: Key) {
        self.subkeys.push(Subkey {
            key,
            signatures: Vec::new(),
        });
    }

    /// A signature is about what stands before it, but for one that takes back the whole key:
    /// whoever appends it to a file puts it behind the last part.
    fn push_signature(&mut self, signature: Signature) {
        if signature.kind() == SignatureKind::KeyRevocation {
            self.direct.push(signature);
        } else if let Some(subkey) = self.subkeys.last_mut() {
            subkey.signatures.push(signature);
        } else if let Some(user_id) = self.user_ids.last_mut() {
            user_id.signatures.push(signature);
        } else {
            self.direct.push(signature);
        }
    }
}

/// What a signature stands beside.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Part<'a> {
    Whole,
    UserId(&'a [u8]),
    Subkey(&'a [u8]),
}

/// What a key that is put together from copies holds already.
#[derive(Default)]
struct Held<'a> {
    places: HashMap<Part<'a>, usize>,
    signatures: HashSet<(Part<'a>, Vec<u8>)>,
}

impl<'a> Held<'a> {
    /// Returns which user id or subkey it is: the next one when there is none of it yet.
    fn place(&mut self, part: Part<'a>, next: usize) -> usize {
        *self.places.entry(part).or_insert(next)
    }

    fn add(&mut self, part: Part<'a>, to: &mut Vec<Signature>, signatures: &[Signature]) {
        for signature in signatures {
            let body = signature.body();
            if body.is_none_or(|body| self.signatures.insert((part, body))) {
                to.push(signature.clone());
            }
        }
    }
}

/// The keys of a file, and how many packets of it could not be read.
#[derive(Clone, Debug, Default)]
pub struct KeyBlocks {
    keys: Vec<KeyBlock>,
    unread: usize,
    skipped: usize,
}

impl KeyBlocks {
    /// Reads what `gpg --export` writes, armored or not, and such armors one after another, as
    /// `gpg --import` does.
    ///
    /// Other people's keys are decades old and have seen many programs. A packet that cannot be
    /// read is counted and left out; that never adds anything to a key, and what it may take away
    /// from it, a revocation say, no reader could have told from noise. A key that cannot be read
    /// is left out with everything that belongs to it. Of a key that is there several times, all
    /// copies are one.
    ///
    /// # Errors
    /// [`OpenPgpError`] when this is no key file at all.
    pub fn read(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        if bytes.len() > KEYRING_MAX {
            return Err(OpenPgpError::TooLarge);
        }
        let packets = match is_text(bytes) {
            true => dearmor_all(ArmorKind::PublicKeys, bytes)?,
            false => bytes.to_vec(),
        };
        let mut read = Self::default();
        // What the packet being read belongs to: nothing, while its key could not be read.
        let mut current: Option<KeyBlock> = None;
        let mut beside = Beside::Readable;
        let mut parser = PacketParser::new(packets.as_slice());
        while let Some(body) = parser.next_ref() {
            let Ok(mut body) = body else {
                // Without a length there is no next packet.
                read.skipped += 1;
                break;
            };
            let header = body.packet_header();
            let packet = Packet::from_reader(header, &mut body);
            match header.tag() {
                Tag::PublicKey => {
                    read.keys.extend(current.take());
                    beside = Beside::Readable;
                    current = read.note(packet, |packet| match packet {
                        Packet::PublicKey(packet) => {
                            let key = Key::primary(packet).ok()?;
                            Some(KeyBlock::bare(Arc::new(key)))
                        }
                        _ => None,
                    });
                    read.unread += usize::from(current.is_none());
                }
                Tag::Trust | Tag::Marker | Tag::Padding => {}
                tag => {
                    let Some(block) = &mut current else {
                        read.skipped += 1;
                        continue;
                    };
                    if tag == Tag::Signature && beside == Beside::Unreadable {
                        if let Ok(packet) = packet {
                            block.take_revocation(packet);
                        }
                        continue;
                    }
                    let taken = read.note(packet, |packet| block.take(packet));
                    if tag != Tag::Signature {
                        beside = match taken {
                            Some(()) => Beside::Readable,
                            None => Beside::Unreadable,
                        };
                    }
                }
            }
        }
        read.keys.extend(current.take());
        if read.keys.is_empty() {
            return Err(OpenPgpError::NotKey);
        }
        read.unite();
        Ok(read)
    }

    /// Makes every key one block, whichever of its copies says what.
    fn unite(&mut self) {
        let mut places = HashMap::new();
        let mut keys: Vec<Vec<&KeyBlock>> = Vec::new();
        for block in &self.keys {
            let place = *places.entry(block.primary.body()).or_insert(keys.len());
            match keys.get_mut(place) {
                Some(copies) => copies.push(block),
                None => keys.push(vec![block]),
            }
        }
        self.keys = keys.into_iter().filter_map(KeyBlock::unite).collect();
    }

    /// Counts what cannot be read.
    fn note<T>(
        &mut self,
        packet: pgp::errors::Result<Packet>,
        read: impl FnOnce(Packet) -> Option<T>,
    ) -> Option<T> {
        let value = packet.ok().and_then(read);
        self.skipped += usize::from(value.is_none());
        value
    }

    /// Returns the keys, each once.
    pub fn keys(&self) -> &[KeyBlock] {
        &self.keys
    }

    /// Returns how many keys were left out because they could not be read.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Returns how many packets could not be read.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

/// Whether signatures that follow are about something that was read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Beside {
    Readable,
    Unreadable,
}

impl UserId {
    pub(super) fn new(text: &str) -> Result<Self, OpenPgpError> {
        let packet = pgp::packet::UserId::from_str(pgp::types::PacketHeaderVersion::New, text);
        Ok(Self {
            packet: packet.map_err(OpenPgpError::packet)?,
            signatures: Vec::new(),
        })
    }

    /// Returns the name as it is in the key; unescaped.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.packet.id()).into_owned()
    }

    /// Returns what was said of it.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl Subkey {
    /// Returns the key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns what was said of it.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

/// The longest file of keys.
const KEYRING_MAX: usize = 4 << 20;
