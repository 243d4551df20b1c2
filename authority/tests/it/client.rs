//! A client that speaks HTTP by hand, and an agent that signs its requests.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{
        AskedFor, EnrolRequest, EnrolResponse, Format, IssueRequest, IssueResponse, KeyPair,
        Refusal, RenewRequest, enrol_preimage, issue_preimage, renew_preimage,
    },
    hex,
    key::{Signer as _, sha256},
    time::UnixTime,
};
use notme_testkit::keys::{Ed25519Key, P256Key};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) trait Wire: Read + Write {
    /// Says that nothing more will be written.
    fn end(&self);
}

impl Wire for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Wire for UnixStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    place: Place,
    /// The URL that proofs are bound to.
    pub(crate) url: String,
}

#[derive(Clone)]
enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        let refusal: Refusal = self.json();
        assert!(!refusal.message.is_empty());
        (self.status, refusal.error)
    }
}

impl Client {
    pub(crate) fn unix(path: PathBuf, url: String) -> Self {
        Self {
            place: Place::Unix(path),
            url,
        }
    }

    pub(crate) fn tcp(address: SocketAddr, url: String) -> Self {
        Self {
            place: Place::Tcp(address),
            url,
        }
    }

    pub(crate) fn connect(&self) -> Box<dyn Wire> {
        let patience = Some(Duration::from_secs(30));
        match &self.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends bytes as they are and reads whatever comes.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(request);
        read_answer(stream)
    }

    /// Sends bytes, and says that there are no more.
    pub(crate) fn half(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        stream.end();
        read_answer(stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.post_bytes(path, &serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, Some("application/json"), body)
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content: Option<&str>,
        body: &[u8],
    ) -> Answer {
        let headers: Vec<_> = content
            .map(|kind| ("content-type", kind))
            .into_iter()
            .collect();
        self.request(method, path, &headers, body)
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: authority\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }
}

fn read_answer(mut stream: Box<dyn Wire>) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // A reset after the answer is the end of the answer.
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return Answer {
            status: 0,
            head: String::from_utf8(bytes).unwrap(),
            body: Vec::new(),
        };
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: bytes[end + 4..].to_vec(),
        head,
    }
}

/// An AI agent's key agent, reduced to its keys.
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) mtls: P256Key,
    pub(crate) signing: Ed25519Key,
}

impl Agent {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            name: "claude",
            mtls: P256Key::from_seed([seed; 32]),
            signing: Ed25519Key::from_seed([seed; 32]),
        }
    }

    pub(crate) fn enrol_request(&self, url: &str, token: Option<&str>) -> EnrolRequest {
        let (mtls, signing) = (self.mtls.public_key(), self.signing.public_key());
        let agent = self.name.parse().unwrap();
        let image = enrol_preimage(token, url, &agent, mtls, signing);
        EnrolRequest {
            agent,
            token: token.map(str::to_owned),
            public_keys: KeyPair {
                mtls: mtls.spki_pem(),
                signing: signing.spki_pem(),
            },
            proofs: KeyPair {
                mtls: base64::encode_url(&self.mtls.sign_fixed(&image)),
                signing: base64::encode_url(&self.signing.sign(&image).unwrap()),
            },
            scopes: None,
        }
    }

    pub(crate) fn enrol(&self, client: &Client, token: Option<&str>) -> Answer {
        client.post("/v1/enrol", &self.enrol_request(&client.url, token))
    }

    /// Enrols and expects success.
    pub(crate) fn session(&self, client: &Client, token: Option<&str>) -> Session<'_> {
        let answer = self.enrol(client, token);
        assert_eq!(answer.status, 200, "{answer:?}");
        Session::new(self, answer.json())
    }
}

/// An enrolled agent.
pub(crate) struct Session<'a> {
    agent: &'a Agent,
    pub(crate) enrolled: EnrolResponse,
    certificate: Certificate,
}

impl<'a> Session<'a> {
    pub(crate) fn new(agent: &'a Agent, enrolled: EnrolResponse) -> Self {
        Self {
            agent,
            certificate: Certificate::from_pem(&enrolled.certificates.signing).unwrap(),
            enrolled,
        }
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Shows another certificate from now on.
    pub(crate) fn presenting(self, certificate: Certificate) -> Self {
        Self {
            certificate,
            ..self
        }
    }

    pub(crate) fn issue_request(&self, url: &str, at: UnixTime, nonce: u64) -> IssueRequest {
        let request = IssueRequest {
            session: base64::encode(self.certificate.der()),
            payload_sha256: Some(hex::encode(&sha256(b"payload"))),
            formats: vec![Format::X509],
            nonce: format!("{nonce:032x}"),
            time: at,
            activity: None,
            terms: None,
            proof: String::new(),
        };
        self.prove(url, request)
    }

    /// Signs the request as it stands.
    pub(crate) fn prove(&self, url: &str, mut request: IssueRequest) -> IssueRequest {
        let payload = request.payload_sha256.as_ref();
        let payload = payload.map(|text| hex::decode_array(text).unwrap_or_default());
        let terms = request.terms.as_ref().and_then(|it| it.to_der().ok());
        let image = issue_preimage(
            url,
            &self.certificate.sha256(),
            &request.formats,
            &request.nonce,
            request.time,
            AskedFor {
                payload_sha256: payload.as_ref(),
                activity: request.activity.as_deref(),
                terms: terms.as_deref(),
            },
        );
        request.proof = base64::encode_url(&self.agent.signing.sign(&image).unwrap());
        request
    }

    pub(crate) fn issue(&self, client: &Client, at: UnixTime, nonce: u64) -> Answer {
        client.post("/v1/issue", &self.issue_request(&client.url, at, nonce))
    }

    pub(crate) fn renew(&self, client: &Client, at: UnixTime, nonce: u64) -> Answer {
        let nonce = format!("{nonce:032x}");
        let image = renew_preimage(&client.url, &self.certificate.sha256(), &nonce, at);
        let request = RenewRequest {
            session: base64::encode(self.certificate.der()),
            nonce,
            time: at,
            proof: base64::encode_url(&self.agent.signing.sign(&image).unwrap()),
        };
        client.post("/v1/renew", &request)
    }
}

pub(crate) fn leaf(answer: &Answer, format: Format) -> Certificate {
    assert_eq!(answer.status, 200, "{answer:?}");
    let response: IssueResponse = answer.json();
    Certificate::from_pem(&response.certificates[&format]).unwrap()
}
