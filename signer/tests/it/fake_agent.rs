//! Key agents of every character, in a thread.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::DirBuilderExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use notme_core::{
    base64,
    cms::SignedAttributes,
    frame::{Basis, Frame, Refusal, Request, Response, SignAnswer},
    key::Hash,
};
use notme_signer::AgentEndpoint;
use notme_testkit::{
    cast::{LeafSpec, Session, TestAuthority},
    clock::NOW,
    tsa::TestTsa,
};

/// How a key agent answers.
#[derive(Clone)]
pub(crate) enum Character {
    /// As it should.
    Honest,
    /// With something to tell the user.
    Talkative(&'static str),
    /// With a signature over something else.
    Confused,
    /// With a time stamp over the signature, or over these bytes instead.
    Stamping(Option<&'static [u8]>),
    /// With a signature that is none.
    Forging,
    /// With a refusal.
    Refusing(Refusal),
    /// With a refusal, before it is asked anything.
    Busy,
    /// Never.
    Silent,
    /// A byte at a time.
    Slow,
    /// By hanging up.
    Rude,
    /// With these bytes.
    Babbling(&'static [u8]),
}

/// A temporary home with a key agent in it.
pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
    pub(crate) session: Session,
}

impl World {
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(root.path().join("run"))
            .unwrap();
        Self {
            root,
            session: session(),
        }
    }

    pub(crate) fn with(character: Character) -> Self {
        let world = Self::empty();
        let listener = UnixListener::bind(world.socket()).unwrap();
        thread::spawn(move || serve(&listener, &character));
        world
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("run/agent.sock")
    }

    pub(crate) fn endpoint(&self) -> AgentEndpoint {
        AgentEndpoint {
            socket: self.socket(),
            start: None,
        }
    }
}

pub(crate) fn session() -> Session {
    TestAuthority::new(1).leaf(&LeafSpec::default())
}

/// Serves in the directory `run` of a home until the process ends.
pub(crate) fn serve_home(root: &Path) {
    let listener = UnixListener::bind(root.join("run/agent.sock")).unwrap();
    serve(&listener, &Character::Honest);
}

fn serve(listener: &UnixListener, character: &Character) {
    let session = session();
    for stream in listener.incoming() {
        // A client that went away is its own business.
        let _ = answer(&mut stream.unwrap(), character, &session);
    }
}

fn answer(stream: &mut UnixStream, character: &Character, session: &Session) -> Option<()> {
    let refusal = match character {
        Character::Busy => Some(Refusal {
            code: "agent-busy".to_owned(),
            message: "too many".to_owned(),
            hint: None,
        }),
        _ => None,
    };
    if let Some(refusal) = refusal {
        return reply(stream, &Response::Error(refusal));
    }
    let request = Frame::read(stream).ok()??;
    let Request::Sign { .. } = serde_json::from_slice(request.header()).unwrap() else {
        return None;
    };
    let honest = sign(request.body(), session);
    match character {
        Character::Honest | Character::Busy => reply(stream, &Response::Ok(honest)),
        Character::Talkative(notice) => {
            let notice = Some((*notice).to_owned());
            reply(stream, &Response::Ok(SignAnswer { notice, ..honest }))
        }
        Character::Confused => reply(stream, &Response::Ok(sign(b"something else", session))),
        Character::Stamping(instead) => {
            let signature = base64::decode(&honest.signature).unwrap();
            let tsa = TestTsa::of(&TestAuthority::new(1), 1);
            let token = tsa.stamp(instead.unwrap_or(&signature), NOW);
            let time_stamp = Some(base64::encode(&token));
            let answer = SignAnswer {
                time_stamp,
                ..honest
            };
            reply(stream, &Response::Ok(answer))
        }
        Character::Forging => {
            let signature = base64::encode(&[1; 64]);
            reply(
                stream,
                &Response::Ok(SignAnswer {
                    signature,
                    ..honest
                }),
            )
        }
        Character::Refusing(refusal) => reply(stream, &Response::Error(refusal.clone())),
        Character::Silent => {
            thread::sleep(Duration::from_secs(3600));
            None
        }
        Character::Slow => {
            let header = serde_json::to_vec(&Response::Ok(honest)).unwrap();
            for byte in Frame::new(header, Vec::new()).unwrap().encode() {
                stream.write_all(&[byte]).ok()?;
                thread::sleep(Duration::from_millis(50));
            }
            None
        }
        Character::Rude => None,
        Character::Babbling(bytes) => stream.write_all(bytes).ok(),
    }
}

fn sign(payload: &[u8], session: &Session) -> SignAnswer {
    let attributes = SignedAttributes::new(Hash::Sha512, payload, NOW);
    SignAnswer {
        certificates: vec![base64::encode(session.certificate().der())],
        signature: base64::encode(&session.key().sign(attributes.der()).unwrap()),
        attributes: base64::encode(attributes.der()),
        time_stamp: None,
        basis: Basis::Declared,
        notice: None,
    }
}

fn reply(stream: &mut UnixStream, response: &Response<SignAnswer>) -> Option<()> {
    let header = serde_json::to_vec(response).unwrap();
    Frame::new(header, Vec::new()).unwrap().write(stream).ok()
}
