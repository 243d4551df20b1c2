//! An authority under load: callers on loopback that keep their connections and always ask.
//!
//! What they send was signed before the clock runs: the callers share the cores with the authority.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use notme_core::{
    base64,
    certificate::Certificate,
    enrol::{
        AskedFor, EnrolRequest, EnrolResponse, Format, IssueRequest, KeyPair, enrol_preimage,
        issue_preimage,
    },
    hex,
    key::{Signer as _, sha256},
    time::UnixTime,
};
use notme_testkit::{
    issuer::TestIssuer,
    jwt::TokenKey,
    keys::{Ed25519Key, P256Key},
    repository::Repository,
};
use serde_json::{Value, json};

use crate::{
    Effort,
    notme::{free_address, program, wait_for},
    table::{Table, shown},
    timing::Samples,
};

const CALLERS: usize = 16;
/// Requests that are signed before they are sent; they are good for a minute.
const BATCH: usize = 20_000;
/// What the reference's authors measured of it, at as many callers.
const REFERENCE: &str = "the reference: 174/s, 69 ms in the median, 387 MB";
const LATEST: Duration = Duration::from_millis(15);
const MEMORY_MIB: u64 = 60;

pub(crate) fn measure(effort: Effort, table: &mut Table) {
    let site = Site::start();
    let [issues, pairs] = effort.requests;
    table.heading(format!(
        "an authority under load, {CALLERS} callers, loopback, kept connections"
    ));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| Caller::enrol(&site, number))
        .collect();
    let mut load = Load::default();
    let mut nonce = 0;
    while load.durations.len() < issues {
        let batch = BATCH.min(issues - load.durations.len()) / CALLERS;
        let requests = in_parallel(&callers, |caller| {
            (0..batch)
                .map(|at| caller.issue_request(&site, nonce + at))
                .collect()
        });
        nonce += batch;
        load.run(&site.address, requests);
    }
    let memory = site.memory_mib();
    load.report(table, "`/v1/issue`", 2_000);
    table.note(format!(
        "Memory after {} requests: {memory} MiB (≤ {MEMORY_MIB} MiB: {}); {REFERENCE}.",
        load_count(issues),
        met(memory <= MEMORY_MIB)
    ));

    let mut load = Load::default();
    let mut token = 0;
    while load.durations.len() < pairs {
        let batch = BATCH.min(pairs - load.durations.len()) / CALLERS;
        let requests = in_parallel(&callers, |caller| {
            (0..batch)
                .map(|at| caller.pair_request(&site, token + at))
                .collect()
        });
        token += batch;
        load.run(&site.address, requests);
    }
    load.report(table, "`/cert/gha`", 1_500);
}

fn load_count(requests: usize) -> usize {
    requests / CALLERS * CALLERS
}

fn met(is_met: bool) -> &'static str {
    match is_met {
        true => "met",
        false => "**not met**",
    }
}

/// Does the same for each caller, all at once.
fn in_parallel<T: Send>(callers: &[Caller], each: impl Fn(&Caller) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let each = &each;
        let threads: Vec<_> = callers
            .iter()
            .map(|caller| scope.spawn(move || each(caller)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a caller does its work"))
            .collect()
    })
}

/// Answers, and how long all of them took.
#[derive(Default)]
struct Load {
    durations: Vec<Duration>,
    elapsed: Duration,
}

impl Load {
    /// Sends everything, each caller one request after the other.
    fn run(&mut self, address: &str, requests: Vec<Vec<Vec<u8>>>) {
        let connections: Vec<_> = requests.iter().map(|_| Connection::open(address)).collect();
        let began = Instant::now();
        let answered: Vec<Vec<Duration>> = thread::scope(|scope| {
            let threads: Vec<_> = requests
                .iter()
                .zip(connections)
                .map(|(requests, mut connection)| {
                    scope.spawn(move || requests.iter().map(|it| connection.ask(it)).collect())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a caller is answered"))
                .collect()
        });
        self.elapsed += began.elapsed();
        self.durations.extend(answered.concat());
    }

    fn report(self, table: &mut Table, what: &str, asked: u32) {
        let count = u32::try_from(self.durations.len()).expect("requests can be counted");
        let rate = f64::from(count) / self.elapsed.as_secs_f64();
        let samples = Samples::new(self.durations);
        let latest = samples.quantile(99);
        table.row(what, &samples);
        table.note(format!(
            "{what}: {rate:.0}/s (≥ {asked}/s: {}), 99 % within {} (≤ {}: {}); {REFERENCE}.",
            met(rate >= f64::from(asked)),
            shown(latest),
            shown(LATEST),
            met(latest <= LATEST),
        ));
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the authority listens");
        stream.set_nodelay(true).expect("a TCP socket can be told");
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Sends a request and reads the whole answer, which has to be good.
    fn ask(&mut self, request: &[u8]) -> Duration {
        let began = Instant::now();
        self.stream.write_all(request).expect("the authority reads");
        let body = self.answer();
        let took = began.elapsed();
        assert!(body.starts_with(b"{"), "{}", String::from_utf8_lossy(&body));
        took
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut read = 0;
        loop {
            let room = self.buffer.get_mut(read..).expect("answers are small");
            let count = self.stream.read(room).expect("the authority answers");
            assert!(count > 0, "the authority hung up");
            read += count;
            let got = self.buffer.get(..read).expect("so much was read");
            let Some(end) = got.windows(4).position(|it| it == b"\r\n\r\n") else {
                continue;
            };
            let (head, body) = got.split_at(end + 4);
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
                .expect("answers say how long they are");
            if body.len() == length {
                assert!(
                    head.starts_with("http/1.1 200 "),
                    "{head}{}",
                    String::from_utf8_lossy(body)
                );
                return body.to_vec();
            }
        }
    }
}

/// A serving authority and an issuer whose tokens it takes.
struct Site {
    _world: Repository,
    _issuer: TestIssuer,
    child: Child,
    address: String,
    url: String,
    issuer_url: String,
    token: String,
}

impl Site {
    fn start() -> Self {
        let program = program();
        let world = Repository::new();
        let issuer = TestIssuer::start(TokenKey::rsa());
        let issuer_url = issuer.url();
        let file = |name: &str| world.home().join(name);
        fs::write(
            file("oidc.toml"),
            format!(
                "[[issuer]]\npreset = \"github-actions\"\nurl = \"{issuer_url}\"\naudience = \"notme.bot\"\nowners = [\"bench\"]\n"
            ),
        )
        .expect("the home directory is writable");
        let address = free_address();
        fs::write(
            file("authority.toml"),
            format!(
                "dir = \"authority\"\noidc = \"oidc.toml\"\nlisten = \"{address}\"\nrate-identity = 0\nrate-workload = 0\n"
            ),
        )
        .expect("the home directory is writable");
        let log = fs::File::create(file("log")).expect("the home directory is writable");
        let mut serve = Command::new(&program);
        serve.env("HOME", world.home());
        serve
            .args(["authority", "serve", "--config"])
            .arg(file("authority.toml"));
        let child = serve
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the program is there");
        wait_for(&address);
        // It listens before its store is there; it answers afterwards.
        let mut first = Connection::open(&address);
        let health = b"GET /health HTTP/1.1\r\nhost: authority\r\n\r\n";
        first.stream.write_all(health).expect("the authority reads");
        assert_eq!(first.answer(), b"ok");
        let mut create = Command::new(&program);
        create.env("HOME", world.home());
        create.args([
            "authority",
            "enrol",
            "create",
            "--agent=bench",
            "--uses=16",
            "--dir",
        ]);
        let token = create
            .arg(file("authority"))
            .output()
            .expect("the program is there");
        assert!(token.status.success(), "{token:?}");
        Self {
            token: String::from_utf8_lossy(&token.stdout).trim().to_owned(),
            url: format!("http://{address}"),
            _world: world,
            _issuer: issuer,
            child,
            address,
            issuer_url,
        }
    }

    fn memory_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the authority runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.expect("the kernel says how much memory a process has") / 1024
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent with a session, which is a job of a forge as well.
struct Caller {
    number: usize,
    mtls: P256Key,
    signing: Ed25519Key,
    certificate: Certificate,
    issuer: TokenKey,
}

impl Caller {
    fn enrol(site: &Site, number: usize) -> Self {
        let seed = [u8::try_from(number + 1).expect("there are few callers"); 32];
        let (mtls, signing) = (P256Key::from_seed(seed), Ed25519Key::from_seed(seed));
        let agent = "bench".parse().expect("this is a name");
        let token = Some(site.token.as_str());
        let image = enrol_preimage(
            token,
            &site.url,
            &agent,
            mtls.public_key(),
            signing.public_key(),
        );
        let request = EnrolRequest {
            agent,
            token: Some(site.token.clone()),
            public_keys: KeyPair {
                mtls: mtls.public_key().spki_pem(),
                signing: signing.public_key().spki_pem(),
            },
            proofs: proofs(&mtls, &signing, &image),
            scopes: None,
        };
        let body = serde_json::to_vec(&request).expect("a request is JSON");
        let mut connection = Connection::open(&site.address);
        connection
            .stream
            .write_all(&post("/v1/enrol", "", &body))
            .expect("the authority reads");
        let enrolled: EnrolResponse =
            serde_json::from_slice(&connection.answer()).expect("the authority enrols");
        Self {
            number,
            mtls,
            signing,
            certificate: Certificate::from_pem(&enrolled.certificates.signing)
                .expect("the authority issues certificates"),
            issuer: TokenKey::rsa(),
        }
    }

    fn issue_request(&self, site: &Site, nonce: usize) -> Vec<u8> {
        let mut request = IssueRequest {
            session: base64::encode(self.certificate.der()),
            payload_sha256: Some(hex::encode(&sha256(&nonce.to_be_bytes()))),
            formats: vec![Format::X509],
            nonce: format!("{nonce:032x}"),
            time: now(),
            activity: None,
            terms: None,
            proof: String::new(),
        };
        let image = issue_preimage(
            &site.url,
            &self.certificate.sha256(),
            &request.formats,
            &request.nonce,
            request.time,
            AskedFor {
                payload_sha256: Some(&sha256(&nonce.to_be_bytes())),
                activity: None,
                terms: None,
            },
        );
        request.proof = base64::encode_url(&self.signing.sign(&image).expect("the key signs"));
        let body = serde_json::to_vec(&request).expect("a request is JSON");
        post("/v1/issue", "", &body)
    }

    /// As a job of GitHub Actions asks.
    fn pair_request(&self, site: &Site, token: usize) -> Vec<u8> {
        let at = now().secs();
        let claims = json!({
            "jti": format!("{}-{token}", self.number),
            "iss": site.issuer_url, "aud": "notme.bot", "iat": at, "nbf": at, "exp": at + 600,
            "sub": "repo:bench/bench:ref:refs/heads/main", "ref": "refs/heads/main",
            "sha": "4d84b70302180a3809a31e09811d6e82de0e31ae",
            "repository": "bench/bench", "repository_owner": "bench", "run_id": "1",
            "actor": "octocat", "workflow": "ci", "event_name": "push",
            "job_workflow_ref": "bench/bench/.github/workflows/ci.yml@refs/heads/main",
        });
        let header = json!({"alg": self.issuer.algorithm(), "kid": "first", "typ": "JWT"});
        let token = self.issuer.sign(&header, &claims);
        let (mtls, signing) = (self.mtls.public_key(), self.signing.public_key());
        let image = [
            mtls.spki_der(),
            signing.spki_der(),
            &sha256(token.as_bytes()),
        ]
        .concat();
        let body: Value = json!({
            "public_keys": {"mtls": mtls.spki_pem(), "signing": signing.spki_pem()},
            "proofs": proofs(&self.mtls, &self.signing, &image),
        });
        let authorization = format!("authorization: Bearer {token}\r\n");
        post("/cert/gha", &authorization, body.to_string().as_bytes())
    }
}

fn proofs(mtls: &P256Key, signing: &Ed25519Key, image: &[u8]) -> KeyPair {
    KeyPair {
        mtls: base64::encode_url(&mtls.sign_fixed(image)),
        signing: base64::encode_url(&signing.sign(image).expect("the key signs")),
    }
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: authority\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn now() -> UnixTime {
    UnixTime::from(SystemTime::now())
}
