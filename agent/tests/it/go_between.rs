//! Somebody between key agent and authority, who changes what the authority answers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use notme_core::base64;
use serde_json::{Value, json};

/// Changes an answer, given its path; `None` for "not found", and a refusal in the place of an answer
/// is a bad request's. A time stamp's is an object:
/// `query` and `reply`, in base64.
pub(crate) type Change = Arc<dyn Fn(&str, Value) -> Option<Value> + Send + Sync>;

/// Listens at `front` and passes everything on to `behind`, one request a connection.
pub(crate) fn go_between(front: &Path, behind: PathBuf, change: Change) {
    let listener = UnixListener::bind(front).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (behind, change) = (behind.clone(), Arc::clone(&change));
            // Who hangs up early is no concern of ours.
            thread::spawn(move || client.ok().and_then(|it| pass_on(it, &behind, &change)));
        }
    });
}

fn pass_on(client: UnixStream, behind: &Path, change: &Change) -> Option<()> {
    let mut client = BufReader::new(client);
    let (head, asked) = read(&mut client)?;
    let path = head.split(' ').nth(1)?.to_owned();
    let mut authority = UnixStream::connect(behind).ok()?;
    authority.write_all(&write(&head, &asked)).ok()?;
    let (mut head, mut body) = read(&mut BufReader::new(authority))?;
    let is_stamp = head.contains("application/timestamp-reply");
    let told = if is_stamp {
        Ok(json!({"query": base64::encode(&asked), "reply": base64::encode(&body)}))
    } else {
        serde_json::from_slice(&body)
    };
    if let Ok(told) = told {
        let was_refused = told["error"].is_string();
        match change(&path, told) {
            Some(json) if !was_refused && json["error"].is_string() => {
                head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n".to_owned();
                body = json.to_string().into_bytes();
            }
            Some(json) if is_stamp => body = base64::decode(json["reply"].as_str()?)?,
            Some(json) => body = json.to_string().into_bytes(),
            None => {
                head = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n".to_owned();
                body = br#"{"error":"not_found"}"#.to_vec();
            }
        }
    }
    client.get_mut().write_all(&write(&head, &body)).ok()
}

/// Reads a message: its head without the lengths, and its body.
fn read(stream: &mut BufReader<UnixStream>) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let name = line.to_ascii_lowercase();
        match name.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("connection", _)) => {}
            Some(_) | None if !name.trim_end().is_empty() => head.push_str(&line),
            Some(_) | None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn write(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{head}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
