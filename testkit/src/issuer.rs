//! An OpenID Connect issuer: a real server on this machine that publishes its keys and mints
//! whatever tokens a test asks for.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::{Value, json};

use crate::jwt::TokenKey;

/// A serving issuer; it ends when dropped.
pub struct TestIssuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<(String, TokenKey)>,
    manner: Manner,
    key_fetches: u64,
    job: Option<Job>,
    tokens_given: u64,
}

/// Who may ask for tokens as a job of GitHub Actions does, and what they say.
struct Job {
    secret: String,
    claims: Value,
}

/// How an issuer answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Manner {
    /// As it should.
    #[default]
    Well,
    /// Not, until it behaves otherwise.
    Silent,
    /// With status 500.
    Broken,
    /// With more than anybody should read.
    Endless,
    /// With a redirection to its keys.
    Elsewhere,
    /// With a discovery document of another issuer.
    Impostor,
}

impl TestIssuer {
    /// Starts an issuer with one key, named `first`.
    ///
    /// # Panics
    /// When no loopback socket can be had.
    pub fn start(key: TokenKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback socket can be had");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        shared.lock().keys.push(("first".to_owned(), key));
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                // How a caller hangs up is the caller's affair.
                let _ = serving.answer(stream, address);
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Returns the issuer's name: the URL it serves at.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Publishes one more key; tokens are signed with the last.
    pub fn add_key(&self, kid: &str, key: TokenKey) {
        self.shared.lock().keys.push((kid.to_owned(), key));
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.lock().manner = manner;
    }

    /// Gives tokens with these claims to whoever asks with a secret as a job of GitHub Actions
    /// does, each with an `aud` as asked for and a `jti` of its own. Returns where to ask.
    pub fn employ(&self, secret: &str, claims: Value) -> String {
        self.shared.lock().job = Some(Job {
            secret: secret.to_owned(),
            claims,
        });
        format!("{}{TOKENS}?api-version=2.0", self.url())
    }

    /// Returns how many tokens it gave to jobs.
    pub fn tokens_given(&self) -> u64 {
        self.shared.lock().tokens_given
    }

    /// Returns how often its keys were asked for.
    pub fn key_fetches(&self) -> u64 {
        self.shared.lock().key_fetches
    }

    /// Mints a token with these claims, signed and named as it should be.
    ///
    /// # Panics
    /// Without a key.
    pub fn mint(&self, claims: &Value) -> String {
        let state = self.shared.lock();
        mint(state.keys.last().expect("an issuer has a key"), claims)
    }

    /// Mints a token with one of several keys.
    ///
    /// # Panics
    /// Without such a key.
    pub fn mint_with(&self, kid: &str, claims: &Value) -> String {
        let state = self.shared.lock();
        let key = state.keys.iter().find(|(name, _)| name == kid);
        mint(key.expect("the issuer has such a key"), claims)
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream, address: SocketAddr) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut head = Vec::new();
        let mut chunk = [0; 1024];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            let count = stream.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            head.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        let head = String::from_utf8_lossy(&head);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if path == KEYS {
            self.lock().key_fetches += 1;
        }
        while self.lock().manner == Manner::Silent {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (status, body) = match path.split_once("&audience=") {
            Some((job, audience)) if job.starts_with(TOKENS) => self.token(&head, audience),
            _ => self.document(&path, address),
        };
        let more = match status {
            "302 Found" => format!("location: {}{KEYS}\r\n", url(address)),
            _ => String::new(),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn token(&self, head: &str, audience: &str) -> (&'static str, String) {
        let mut state = self.lock();
        let State { keys, job, .. } = &*state;
        let employed = job.as_ref().filter(|job| {
            let expected = format!("authorization: Bearer {}", job.secret);
            head.lines()
                .any(|line| line.eq_ignore_ascii_case(&expected))
        });
        let (Some(job), Some(key)) = (employed, keys.last()) else {
            return ("401 Unauthorized", "{}".to_owned());
        };
        let mut claims = job.claims.clone();
        if let Value::Object(claims) = &mut claims {
            claims.insert("aud".to_owned(), audience.into());
            let number = state.tokens_given;
            claims.insert("jti".to_owned(), format!("job-{number}").into());
        }
        let token = mint(key, &claims);
        state.tokens_given += 1;
        (
            "200 OK",
            json!({"count": token.len(), "value": token}).to_string(),
        )
    }

    fn document(&self, path: &str, address: SocketAddr) -> (&'static str, String) {
        let state = self.lock();
        match (state.manner, path) {
            (Manner::Broken, _) => ("500 Internal Server Error", "{}".to_owned()),
            (Manner::Endless, _) => ("200 OK", " ".repeat(1 << 20)),
            (Manner::Elsewhere, KEYS) => ("302 Found", String::new()),
            (_, "/.well-known/openid-configuration") => {
                let url = url(address);
                let issuer = match state.manner {
                    Manner::Impostor => "https://somebody.else.invalid",
                    _ => &url,
                };
                let document = json!({"issuer": issuer, "jwks_uri": format!("{url}{KEYS}")});
                ("200 OK", document.to_string())
            }
            (_, KEYS) => {
                let keys: Vec<_> = state.keys.iter().map(published).collect();
                ("200 OK", json!({ "keys": keys }).to_string())
            }
            _ => ("404 Not Found", "{}".to_owned()),
        }
    }
}

fn mint((kid, key): &(String, TokenKey), claims: &Value) -> String {
    let header = json!({"alg": key.algorithm(), "kid": kid, "typ": "JWT"});
    key.sign(&header, claims)
}

fn published((kid, key): &(String, TokenKey)) -> Value {
    let mut jwk = key.jwk();
    if let Value::Object(members) = &mut jwk {
        members.insert("kid".to_owned(), kid.as_str().into());
        members.insert("use".to_owned(), "sig".into());
        members.insert("alg".to_owned(), key.algorithm().into());
    }
    jwk
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

const KEYS: &str = "/.well-known/jwks";
const TOKENS: &str = "/oidc/token";
