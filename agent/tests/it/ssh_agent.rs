//! The OpenSSH agent protocol, spoken by hand.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use notme_core::{
    frame::SignatureKind,
    key::Signer as _,
    ssh::{
        HashAlgorithm, Key, Prehash, PublicKey, Signature, UserCertificate,
        signature::ed25519_blob,
        wire::{Reader, Writer},
    },
};
use notme_testkit::{clock::NOW, keys::Ed25519Key};

use crate::world::{World, commit};

const FAILURE: &[u8] = &[5];
const SUCCESS: &[u8] = &[6];

/// A client of the second socket.
struct Client(UnixStream);

impl Client {
    fn new(world: &World) -> Self {
        let stream = UnixStream::connect(world.ssh_socket()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self(stream)
    }

    fn send(&mut self, message: &[u8]) {
        let framed = Writer::new().string(message).finish();
        self.0.write_all(&framed).unwrap();
    }

    /// Reads an answer; `None` when the connection is closed instead.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        Some(answer)
    }

    fn call(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.receive().expect("the key agent answers")
    }

    fn identities(&mut self) -> Vec<(Key, String)> {
        let answer = self.call(&[11]);
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.byte(), Ok(12));
        let count = reader.u32().unwrap();
        let identities = (0..count)
            .map(|_| {
                let key = Key::from_blob(reader.string().unwrap()).unwrap();
                (key, reader.text().unwrap().to_owned())
            })
            .collect();
        reader.finish().unwrap();
        identities
    }

    fn sign(&mut self, key: &Key, data: &[u8]) -> Vec<u8> {
        let request = Writer::new()
            .byte(13)
            .string(key.blob())
            .string(data)
            .u32(0);
        self.call(&request.finish())
    }

    /// Signs, and checks the signature.
    fn signs(&mut self, key: &Key, data: &[u8]) -> bool {
        let answer = self.sign(key, data);
        if answer == FAILURE {
            return false;
        }
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.byte(), Ok(14));
        let signature = Signature::from_blob(reader.string().unwrap()).unwrap();
        key.public_key().verify(data, &signature).unwrap();
        true
    }

    fn text(&mut self, kind: u8, text: &str) -> Vec<u8> {
        self.call(&Writer::new().byte(kind).string(text.as_bytes()).finish())
    }

    fn bind(&mut self, host: &Ed25519Key, session_id: &[u8], forwarding: u8) -> Vec<u8> {
        let request = Writer::new()
            .byte(27)
            .string(b"session-bind@openssh.com")
            .string(host_blob(host).as_slice())
            .string(session_id)
            .string(&ed25519_blob(&host.sign(session_id).unwrap()))
            .byte(forwarding);
        self.call(&request.finish())
    }
}

fn host_blob(host: &Ed25519Key) -> Vec<u8> {
    PublicKey::from_key(host.public_key())
        .unwrap()
        .blob()
        .to_vec()
}

fn git_data() -> Vec<u8> {
    Prehash::of(HashAlgorithm::Sha512, &commit()).signed_data("git")
}

fn login_data(key: &Key, session_id: &[u8]) -> Vec<u8> {
    Writer::new()
        .string(session_id)
        .byte(50)
        .string(b"alice")
        .string(b"ssh-connection")
        .string(b"publickey")
        .byte(1)
        .string(key.type_name().as_bytes())
        .string(key.blob())
        .finish()
}

/// A world whose agent asked to log in.
fn login_world() -> World {
    let world = World::new();
    world.configure_scopes("claude", &["sign:git", "ssh:login"]);
    world
}

#[test]
fn lists_certificates_before_keys_and_opens_sessions_for_it() {
    let world = World::new();
    world.configure("codex", notme_agent::Profile::Modern);
    let identities = Client::new(&world).identities();
    let shown: Vec<_> = identities
        .iter()
        .map(|(key, comment)| (key.type_name(), comment.as_str()))
        .collect();
    let (certificate, key) = ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519");
    let (claude, codex) = (
        "wimse://agents.test/agent/alice/claude",
        "wimse://agents.test/agent/alice/codex",
    );
    assert_eq!(
        shown,
        [
            (certificate, claude),
            (certificate, codex),
            (key, claude),
            (key, codex)
        ]
    );
    assert_eq!(identities[0].0.public_key(), identities[2].0.public_key());
    assert!(world.list().iter().all(|session| session.kid.is_some()));
}

#[test]
fn signs_what_git_signs_with_either_form_of_the_key() {
    let world = World::new();
    let mut client = Client::new(&world);
    for (key, _) in client.identities() {
        assert!(client.signs(&key, &git_data()));
    }
}

#[test]
fn a_certificate_of_before_the_renewal_still_names_the_key() {
    let world = World::new();
    let mut client = Client::new(&world);
    let (old, _) = client.identities().remove(0);
    world.connect().renew("claude").unwrap();
    assert_ne!(client.identities()[0].0, old);
    assert!(client.signs(&old, &git_data()));
}

#[test]
fn refuses_everything_else() {
    let world = login_world();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    let digest = Prehash::of(HashAlgorithm::Sha512, b"x");
    for data in [
        b"".to_vec(),
        commit(),
        b"SSHSIG".to_vec(),
        digest.signed_data("file"),
        digest.signed_data("email"),
        vec![0; 64],
        [git_data(), vec![0]].concat(),
    ] {
        assert_eq!(client.sign(&key, &data), FAILURE);
    }
}

#[test]
fn refuses_keys_that_are_not_of_a_session() {
    let world = World::new();
    let mut client = Client::new(&world);
    client.identities();
    let stranger = Ed25519Key::from_seed([9; 32]);
    let stranger = Key::Plain(PublicKey::from_key(stranger.public_key()).unwrap());
    assert_eq!(client.sign(&stranger, &git_data()), FAILURE);
}

#[test]
fn logs_in_only_when_the_session_has_the_scope() {
    let world = World::new();
    let mut client = Client::new(&world);
    for (key, _) in client.identities() {
        assert!(!client.signs(&key, &login_data(&key, &[1; 32])));
    }
    let world = login_world();
    let mut client = Client::new(&world);
    let identities = client.identities();
    // ssh asks the bare key to sign for the certificate too.
    for (asked, _) in &identities {
        for (named, _) in &identities {
            assert!(client.signs(asked, &login_data(named, &[1; 32])));
        }
    }
}

#[test]
fn logs_in_with_no_key_or_certificate_of_somebody_else() {
    let world = login_world();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(1);
    let stranger = Ed25519Key::from_seed([9; 32]);
    let other = Key::Plain(PublicKey::from_key(stranger.public_key()).unwrap());
    assert!(!client.signs(&key, &login_data(&other, &[1; 32])));

    // Anybody can certify a public key, under any name.
    let raw = key.public_key().blob().last_chunk().unwrap();
    let certificate = UserCertificate {
        nonce: [0; 32],
        key: &notme_core::key::PublicKey::from_ed25519(raw).unwrap(),
        serial: 1,
        identity: &"wimse://agents.test/agent/alice/claude".parse().unwrap(),
        principals: &["root"],
        valid_after: NOW,
        valid_before: NOW.plus(60),
        payload_digest: None,
        x509_kid: key.public_key().kid(),
        epoch: 1,
        issued_at: NOW,
        scopes: &[],
        session: [0; 32],
        permits: &[],
        terms: None,
    };
    let forged = Key::Certified(Box::new(certificate.sign(&stranger).unwrap()));
    assert!(!client.signs(&key, &login_data(&forged, &[1; 32])));
    assert_eq!(client.sign(&forged, &git_data()), FAILURE);
}

#[test]
fn a_bound_connection_logs_in_where_it_is_bound_to() {
    let world = login_world();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    let host = Ed25519Key::from_seed([3; 32]);
    assert_eq!(client.bind(&host, &[1; 32], 0), SUCCESS);
    assert!(client.signs(&key, &login_data(&key, &[1; 32])));
    assert!(!client.signs(&key, &login_data(&key, &[2; 32])));
    // Another client is not bound by it.
    assert!(Client::new(&world).signs(&key, &login_data(&key, &[2; 32])));
}

#[test]
fn a_forwarded_connection_signs_for_git_and_does_not_log_in() {
    let world = login_world();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    let host = Ed25519Key::from_seed([3; 32]);
    assert_eq!(client.bind(&host, &[1; 32], 1), SUCCESS);
    assert!(!client.signs(&key, &login_data(&key, &[1; 32])));
    assert!(client.signs(&key, &git_data()));
}

#[test]
fn a_binding_that_no_server_signed_fails() {
    let world = World::new();
    let mut client = Client::new(&world);
    let host = Ed25519Key::from_seed([3; 32]);
    let request = Writer::new()
        .byte(27)
        .string(b"session-bind@openssh.com")
        .string(&host_blob(&host))
        .string(&[1; 32])
        .string(&ed25519_blob(&host.sign(&[2; 32]).unwrap()))
        .byte(0);
    assert_eq!(client.call(&request.finish()), [28]);
}

#[test]
fn tells_which_extensions_it_knows() {
    let world = World::new();
    let mut client = Client::new(&world);
    let answer = client.text(27, "query");
    let expected = Writer::new()
        .byte(29)
        .string(b"query")
        .string(b"query")
        .string(b"session-bind@openssh.com")
        .finish();
    assert_eq!(answer, expected);
    assert_eq!(client.text(27, "hostkeys@example.org"), FAILURE);
}

#[test]
fn keys_cannot_be_added_or_removed() {
    let world = World::new();
    let mut client = Client::new(&world);
    let before = client.identities();
    for kind in [17, 18, 19, 20, 21, 25, 26] {
        assert_eq!(client.text(kind, "ssh-ed25519"), FAILURE, "{kind}");
    }
    assert_eq!(client.identities(), before);
}

#[test]
fn a_locked_agent_shows_and_signs_nothing_through_either_door() {
    let world = World::new();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    assert_eq!(client.text(22, "open sesame"), SUCCESS);
    assert!(world.connect().status().locked);
    assert!(client.identities().is_empty());
    assert_eq!(client.sign(&key, &git_data()), FAILURE);
    assert_eq!(client.text(22, "another"), FAILURE);
    assert_eq!(client.text(27, "query"), FAILURE);
    let refusal = world.sign("claude", &commit()).unwrap_err();
    assert_eq!(refusal.code, "agent-locked");
    let refusal = world
        .sign_armored("claude", SignatureKind::Ssh, &commit())
        .unwrap_err();
    assert!(refusal.hint.unwrap().contains("ssh-add -X"));

    for wrong in ["", "open", "open sesame "] {
        assert_eq!(client.text(23, wrong), FAILURE);
        assert!(world.connect().status().locked);
    }
    // Another connection may open it.
    assert_eq!(Client::new(&world).text(23, "open sesame"), SUCCESS);
    assert!(client.signs(&key, &git_data()));
    assert_eq!(client.text(23, "open sesame"), FAILURE);
}

#[test]
fn absurd_lengths_end_the_connection() {
    let world = World::new();
    for length in [0, 256 * 1024 + 1, u32::MAX] {
        let mut client = Client::new(&world);
        client.0.write_all(&length.to_be_bytes()).unwrap();
        let _ = client.0.write_all(&[11; 64]);
        assert_eq!(client.receive(), None, "{length}");
    }
}

#[test]
fn malformed_messages_are_refused_and_the_connection_goes_on() {
    let world = World::new();
    let mut client = Client::new(&world);
    let longest = vec![13; 256 * 1024];
    for message in [
        &[13][..],
        &[11, 0],
        &[13, 0xff, 0xff, 0xff, 0xff],
        &[22],
        &[27],
        &longest,
        &[0],
        &[255],
    ] {
        assert_eq!(client.call(message), FAILURE);
    }
    assert_eq!(client.identities().len(), 2);
}

#[test]
fn stuck_clients_hurt_no_one() {
    let world = World::new();
    let stuck: Vec<_> = (0..100)
        .map(|at| {
            let mut client = Client::new(&world);
            match at % 3 {
                0 => {}
                1 => client.0.write_all(&[0]).unwrap(),
                _ => client.0.write_all(&[0, 0, 1, 0, 13]).unwrap(),
            }
            client
        })
        .collect();
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    assert!(client.signs(&key, &git_data()));
    // The other socket has its own room.
    world.sign("claude", &commit()).unwrap();
    drop(stuck);
}

#[test]
fn many_clients_are_served_at_once() {
    let world = World::new();
    let (key, _) = Client::new(&world).identities().remove(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = Client::new(&world);
                for _ in 0..20 {
                    assert!(client.signs(&key, &git_data()));
                }
            });
        }
    });
}

#[test]
fn an_expired_session_does_not_sign() {
    let clock = notme_testkit::clock::FixedClock::default();
    let mut world = World::with(crate::world::Wishes {
        clock: clock.clone(),
        ..crate::world::Wishes::default()
    });
    let mut client = Client::new(&world);
    let (key, _) = client.identities().remove(0);
    world.stop_authority();
    clock.advance(3601);
    assert_eq!(client.sign(&key, &git_data()), FAILURE);
    assert!(client.identities().is_empty());
}

#[test]
fn an_agent_that_needs_a_token_is_listed_once_it_has_a_session() {
    let mut world = World::empty();
    let clock = notme_testkit::clock::FixedClock::default();
    let url = world.start_tcp_authority(&clock);
    world
        .configuration("claude", notme_agent::Profile::Modern, url, None)
        .save(&world.config_dir())
        .unwrap();
    world.start_agent(crate::world::Wishes::default());
    assert!(Client::new(&world).identities().is_empty());
    let token = world.token();
    world.connect().enrol("claude", &token).unwrap();
    assert_eq!(Client::new(&world).identities().len(), 2);
}
