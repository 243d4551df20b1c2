//! `session-bind@openssh.com` (PROTOCOL.agent): ssh tells which connection it will log in to.

use notme_core::ssh::{
    Key, Signature,
    wire::{Reader, WireError},
};

use super::purpose::Login;

/// What ssh tells of a connection: the server's key, the connection's id, and that key's signature
/// over it, which shows that the server was there.
#[derive(Debug)]
pub(super) struct SessionBind<'a> {
    host_key: &'a [u8],
    session_id: &'a [u8],
    signature: &'a [u8],
    is_forwarding: bool,
}

impl<'a> SessionBind<'a> {
    /// Reads what follows the extension's name.
    ///
    /// # Errors
    /// [`WireError`].
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            host_key: reader.string()?,
            session_id: reader.string()?,
            signature: reader.string()?,
            is_forwarding: reader.byte()? != 0,
        })
    }
}

/// The connections that one client is bound to, in their order: its own, and behind it those that
/// it was forwarded through.
#[derive(Debug, Default)]
pub(super) struct Bindings(Vec<Binding>);

#[derive(Debug)]
struct Binding {
    host_key: Vec<u8>,
    session_id: Vec<u8>,
    is_forwarding: bool,
}

/// The binding is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BindError {
    /// The server's key did not sign the connection's id.
    Signature,
    /// The client is bound to a connection that goes no further, or to this one otherwise.
    Contradiction,
    /// As many as OpenSSH allows.
    TooMany,
}

impl Bindings {
    /// Binds the client to one more connection.
    ///
    /// # Errors
    /// [`BindError`].
    pub(super) fn bind(&mut self, bind: &SessionBind<'_>) -> Result<(), BindError> {
        let key = Key::from_blob(bind.host_key).map_err(|_| BindError::Signature)?;
        let signature = Signature::from_blob(bind.signature).map_err(|_| BindError::Signature)?;
        key.public_key()
            .verify(bind.session_id, &signature)
            .map_err(|_| BindError::Signature)?;
        for bound in &self.0 {
            if !bound.is_forwarding {
                return Err(BindError::Contradiction);
            }
            if bound.session_id == bind.session_id {
                return match bound.host_key == bind.host_key {
                    true => Ok(()),
                    false => Err(BindError::Contradiction),
                };
            }
        }
        if self.0.len() >= BINDINGS_LIMIT {
            return Err(BindError::TooMany);
        }
        self.0.push(Binding {
            host_key: bind.host_key.to_vec(),
            session_id: bind.session_id.to_vec(),
            is_forwarding: bind.is_forwarding,
        });
        Ok(())
    }

    /// Tells whether a client that is bound like this may log in. One that is bound to nothing is
    /// an old ssh, or something else of this user's. One that was forwarded is somewhere else by
    /// now: whoever rules that machine could log in from here.
    pub(super) fn allow(&self, login: &Login<'_>) -> bool {
        match self.0.as_slice() {
            [] => true,
            [bound] => {
                !bound.is_forwarding
                    && bound.session_id == login.session_id
                    && login.host_key.is_none_or(|key| key == bound.host_key)
            }
            [_, _, ..] => false,
        }
    }
}

const BINDINGS_LIMIT: usize = 16;

#[cfg(test)]
mod tests {
    use notme_core::{
        key::Signer as _,
        ssh::{PublicKey, signature::ed25519_blob},
    };
    use notme_testkit::keys::Ed25519Key;

    use super::*;

    struct Told {
        host_key: Vec<u8>,
        session_id: Vec<u8>,
        signature: Vec<u8>,
    }

    impl Told {
        fn by(seed: u8, session_id: &[u8]) -> Self {
            let key = Ed25519Key::from_seed([seed; 32]);
            Self {
                host_key: PublicKey::from_key(key.public_key())
                    .unwrap()
                    .blob()
                    .to_vec(),
                session_id: session_id.to_vec(),
                signature: ed25519_blob(&key.sign(session_id).unwrap()),
            }
        }

        fn bind(&self, bindings: &mut Bindings, is_forwarding: bool) -> Result<(), BindError> {
            bindings.bind(&SessionBind {
                host_key: &self.host_key,
                session_id: &self.session_id,
                signature: &self.signature,
                is_forwarding,
            })
        }

        fn login(&self) -> Login<'_> {
            Login {
                key: Key::from_blob(&self.host_key).unwrap(),
                session_id: &self.session_id,
                host_key: Some(&self.host_key),
            }
        }
    }

    #[test]
    fn a_bound_client_logs_in_to_that_connection_only() {
        let (here, there) = (Told::by(1, &[1; 32]), Told::by(2, &[2; 32]));
        let mut bindings = Bindings::default();
        assert!(bindings.allow(&here.login()));
        here.bind(&mut bindings, false).unwrap();
        assert!(bindings.allow(&here.login()));
        assert!(bindings.allow(&Login {
            host_key: None,
            ..here.login()
        }));
        assert!(!bindings.allow(&there.login()));
        let other_host = Login {
            session_id: &here.session_id,
            ..there.login()
        };
        assert!(!bindings.allow(&other_host));
    }

    #[test]
    fn a_forwarded_client_does_not_log_in() {
        let (here, there) = (Told::by(1, &[1; 32]), Told::by(2, &[2; 32]));
        let mut bindings = Bindings::default();
        here.bind(&mut bindings, true).unwrap();
        assert!(!bindings.allow(&here.login()));
        there.bind(&mut bindings, false).unwrap();
        assert!(!bindings.allow(&there.login()));
    }

    #[test]
    fn the_server_has_to_have_been_there() {
        let mut forged = Told::by(1, &[1; 32]);
        forged.session_id = vec![2; 32];
        let mut bindings = Bindings::default();
        assert_eq!(forged.bind(&mut bindings, false), Err(BindError::Signature));
        forged.host_key = b"no key".to_vec();
        assert_eq!(forged.bind(&mut bindings, false), Err(BindError::Signature));
    }

    #[test]
    fn a_client_is_bound_once() {
        let (here, there) = (Told::by(1, &[1; 32]), Told::by(2, &[2; 32]));
        let mut bindings = Bindings::default();
        here.bind(&mut bindings, false).unwrap();
        assert_eq!(
            there.bind(&mut bindings, false),
            Err(BindError::Contradiction)
        );
        let mut bindings = Bindings::default();
        here.bind(&mut bindings, true).unwrap();
        here.bind(&mut bindings, true).unwrap();
        let same_id = Told::by(2, &[1; 32]);
        assert_eq!(
            same_id.bind(&mut bindings, true),
            Err(BindError::Contradiction)
        );
    }

    #[test]
    fn there_is_an_end_to_forwarding() {
        let mut bindings = Bindings::default();
        for hop in 0..16 {
            Told::by(1, &[hop; 32]).bind(&mut bindings, true).unwrap();
        }
        let more = Told::by(1, &[16; 32]);
        assert_eq!(more.bind(&mut bindings, true), Err(BindError::TooMany));
    }
}
