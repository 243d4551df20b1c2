//! Statements in a log: a stand-in on this machine that speaks Rekor's wire.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use notme_core::{
    base64,
    certificate::Certificate,
    dsse::pae,
    hex,
    key::{Hash, sha256},
};
use serde_json::{Value, json};

use crate::world::{World, free_port, told};

/// How the log behaves.
#[derive(Clone, Copy)]
enum Manner {
    AsItShould,
    Junk,
    OfAnotherKind,
    AboutAnother,
    Failing,
    /// Fails at the second entry.
    Full,
}

/// Entries by id, as Rekor stores them: without the payload.
struct Rekor {
    address: SocketAddr,
    entries: Arc<Mutex<Vec<(String, Value)>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Rekor {
    /// Serves until the test's process ends.
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let rekor = Self {
            address: listener.local_addr().unwrap(),
            entries: Arc::default(),
            manner: Arc::new(Mutex::new(Manner::AsItShould)),
        };
        let (entries, manner) = (Arc::clone(&rekor.entries), Arc::clone(&rekor.manner));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let manner = *manner.lock().unwrap();
                answer(stream.unwrap(), &mut entries.lock().unwrap(), manner);
            }
        });
        rekor
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(mut stream: TcpStream, entries: &mut Vec<(String, Value)>, manner: Manner) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let request = line.clone();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let words: Vec<_> = request.split(' ').collect();
    let (status, text) = match (manner, words[0], words[1]) {
        (Manner::Failing, ..) => (500, json!({"code": 500, "message": "no"}).to_string()),
        (Manner::Junk, ..) => (200, "é".repeat(60)),
        (_, "POST", "/api/v1/log/entries") => {
            let id = format!(
                "{:016x}{}",
                1,
                hex::encode(&sha256(body.to_string().as_bytes()))
            );
            if entries.iter().any(|(known, _)| *known == id) {
                let message = format!("an equivalent entry already exists with UUID {id}");
                (409, json!({"code": 409, "message": message}).to_string())
            } else if matches!(manner, Manner::Full) && entries.len() == 1 {
                (500, json!({"code": 500, "message": "full"}).to_string())
            } else {
                entries.push((id, stored(&body)));
                (201, entry(entries, entries.len() - 1, manner))
            }
        }
        (_, "POST", "/api/v1/index/retrieve") => {
            let wanted = body["hash"]
                .as_str()
                .unwrap()
                .strip_prefix("sha256:")
                .unwrap();
            let is_wanted = |stored: &Value| {
                let content = &stored["spec"]["content"];
                content["payloadHash"]["value"] == wanted
            };
            let found = entries.iter().filter(|(_, stored)| is_wanted(stored));
            let ids: Vec<_> = found.map(|(id, _)| id).collect();
            (200, json!(ids).to_string())
        }
        (_, "GET", path) => {
            let id = path.strip_prefix("/api/v1/log/entries/").unwrap();
            let at = entries.iter().position(|(known, _)| known == id).unwrap();
            (200, entry(entries, at, manner))
        }
        _ => panic!("{request}"),
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
    .unwrap();
}

/// Checks a proposed entry as Rekor does, and returns what it keeps.
fn stored(proposed: &Value) -> Value {
    assert_eq!(
        (&proposed["kind"], &proposed["apiVersion"]),
        (&"intoto".into(), &"0.0.2".into())
    );
    let content = &proposed["spec"]["content"];
    let mut envelope = content["envelope"].clone();
    let once = |value: &Value| {
        let inner = base64::decode(value.as_str().unwrap()).unwrap();
        String::from_utf8(inner).unwrap()
    };
    let payload = base64::decode(once(&envelope["payload"])).unwrap();
    let signature = envelope["signatures"][0].clone();
    let leaf = Certificate::from_pem(&once(&signature["publicKey"])).unwrap();
    let message = pae(envelope["payloadType"].as_str().unwrap(), &payload);
    let sig = base64::decode(once(&signature["sig"])).unwrap();
    leaf.public_key()
        .verify(Hash::Sha256, &message, &sig)
        .unwrap();
    assert_eq!(
        content["payloadHash"]["value"],
        hex::encode(&sha256(&payload))
    );
    let inner = json!({
        "payloadType": envelope["payloadType"],
        "payload": base64::encode(&payload),
        "signatures": [{
            "keyid": signature["keyid"],
            "sig": once(&signature["sig"]),
            "publicKey": once(&signature["publicKey"]),
        }],
    });
    let canonical = notme_core::json::canonical(&inner).unwrap();
    assert_eq!(content["hash"]["value"], hex::encode(&sha256(&canonical)));
    envelope.as_object_mut().unwrap().remove("payload");
    let mut stored = proposed.clone();
    stored["spec"]["content"]["envelope"] = envelope;
    stored
}

fn entry(entries: &[(String, Value)], at: usize, manner: Manner) -> String {
    let (id, stored) = &entries[at];
    let mut stored = stored.clone();
    match manner {
        Manner::OfAnotherKind => stored["kind"] = "dsse".into(),
        Manner::AboutAnother => {
            stored["spec"]["content"]["payloadHash"]["value"] = "00".repeat(32).into();
        }
        _ => {}
    }
    let entry = json!({
        "body": base64::encode(stored.to_string().as_bytes()),
        "integratedTime": 1_700_000_000,
        "logID": "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d",
        "logIndex": at,
        "verification": {"signedEntryTimestamp": ""},
    });
    format!("{}\n", json!({ id: entry }))
}

fn stated() -> World {
    let world = World::initialised();
    world.signed_commit("one");
    world.notme_ok(&["attest", "dispatch"]);
    world
}

#[test]
fn statements_are_put_into_a_log_and_found_there() {
    let (world, rekor) = (stated(), Rekor::start());
    let ask = |what: &str| {
        let output = world.notme(&["attest", what, "HEAD", "--json", "--rekor", &rekor.url()]);
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), shown, told(&output))
    };
    let (exit, nothing, said) = ask("lookup");
    assert_eq!((exit, nothing), (Some(1), json!([])), "{said}");
    let (exit, published, said) = ask("publish");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(published.as_array().unwrap().len(), 2);
    assert_eq!(published[1]["log_index"], 1);
    let (exit, found, said) = ask("lookup");
    assert_eq!((exit, found), (Some(0), published), "{said}");
    let text = world.notme_ok(&["attest", "lookup", "--rekor", &rekor.url()]);
    assert!(text.contains("  entry 0  "), "{text}");
}

/// What is in a log is there for ever.
#[test]
fn what_nobody_accepts_is_published_only_when_that_is_asked_for() {
    let (world, rekor) = (stated(), Rekor::start());
    let status: Value = serde_json::from_str(&world.notme_ok(&["status", "--json"])).unwrap();
    let identity = status["session"]["identity"].as_str().unwrap();
    let since = ["--since", "2026-01-01T00:00:00Z"];
    world.notme_ok(&[&["authority", "revoke", "identity", identity][..], &since].concat());
    world.notme_ok(&["trust", "refresh"]);
    let publish = ["attest", "publish", "--rekor", &rekor.url()];
    let output = world.notme(&publish);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("revoked"), "{}", told(&output));
    assert!(rekor.entries.lock().unwrap().is_empty());
    world.notme_ok(&[&publish[..], &["--unjudged"]].concat());
    assert_eq!(rekor.entries.lock().unwrap().len(), 2);
}

/// Whoever may push can put it there.
#[test]
fn a_file_that_is_no_bundle_is_left_out_of_a_log() {
    let (world, rekor) = (stated(), Rekor::start());
    let commit = world.git_ok(&["rev-parse", "HEAD"]);
    let (head, rest) = commit.split_at(2);
    world.import(&format!(
        "commit refs/attestations/commits\ncommitter n <n@n> 1795176000 +0000\ndata 0\n\
         from refs/attestations/commits^0\n\
         M 100644 inline {head}/{rest}/44136fa355b3678a.sigstore.json\ndata 2\n{{}}\n"
    ));
    let url = rekor.url();
    for arguments in [&["publish", "--unjudged"][..], &["lookup"], &["publish"]] {
        let output = world.notme(&[&["attest"], arguments, &["--rekor", &url]].concat());
        assert!(output.status.success(), "{}", told(&output));
        assert!(told(&output).contains("1 file is no bundle"));
    }
    assert_eq!(rekor.entries.lock().unwrap().len(), 2);
}

/// What was published is told, and is not in the way of what was not.
#[test]
fn publishing_goes_on_where_it_broke_off() {
    let (world, rekor) = (stated(), Rekor::start());
    let publish = |more: &[&str]| {
        let publish = ["attest", "publish", "--rekor", &rekor.url()];
        let output = world.notme(&[&publish[..], more].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said, told(&output))
    };
    rekor.behave(Manner::Full);
    let (exit, first, said) = publish(&[]);
    assert_eq!((exit, first.lines().count()), (Some(3), 1), "{said}");
    let (exit, json, said) = publish(&["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (exit, json.as_array().unwrap().len()),
        (Some(3), 1),
        "{said}"
    );
    rekor.behave(Manner::AsItShould);
    let (exit, all, said) = publish(&[]);
    assert_eq!((exit, all.lines().count()), (Some(0), 2), "{said}");
    assert!(all.starts_with(&first), "{all}");
    assert_eq!(publish(&[]).1, all);
    assert_eq!(rekor.entries.lock().unwrap().len(), 2);
}

#[test]
fn a_log_that_lies_or_fails_is_an_error_and_changes_no_verdict() {
    let (world, rekor) = (stated(), Rekor::start());
    let url = rekor.url();
    world.notme_ok(&["attest", "publish", "--rekor", &url]);
    for (manner, exit, word) in [
        (
            Manner::AboutAnother,
            1,
            "the log's entry is not about sha256:",
        ),
        (
            Manner::OfAnotherKind,
            3,
            "the log's answer is not one of Rekor's",
        ),
        (Manner::Junk, 3, "the log"),
        (Manner::Failing, 3, "500"),
    ] {
        rekor.behave(manner);
        for what in ["lookup", "publish"] {
            let output = world.notme(&["attest", what, "--rekor", &url]);
            assert_eq!(output.status.code(), Some(exit), "{word} {}", told(&output));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(word) && said.starts_with("error: "), "{said}");
            assert!(!said.contains("panicked"), "{said}");
            assert!(!said.contains("{ "), "{said}");
            assert!(output.stdout.is_empty());
        }
    }
    world.notme_ok(&["attest", "verify"]);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let output = world.notme(&["attest", "lookup", "--rekor", &nobody]);
    let said = told(&output);
    assert!(
        said.contains("Connection refused") && !said.contains("{ "),
        "{said}"
    );
    // Nor is any log asked that is not named, or in the clear on another machine.
    for url in ["http://rekor.example.com", "unix:/tmp/socket", "rekor"] {
        let output = world.notme(&["attest", "publish", "--rekor", url]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    }
}
