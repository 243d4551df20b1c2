//! What an AI agent's own hook system tells of it, as an event of an activity.
//!
//! What goes in and comes out of a tool is no business of whoever may read the repository, so an
//! event holds digests of it: SHA-256 of the member as JSON, members sorted.

use notme_attest::predicate::Event;
use notme_core::{
    hex,
    json::{JsonError, Object, canonical, parse_object},
    key::sha256,
    time::UnixTime,
};
use serde_json::Value;

/// The longest JSON that is read.
pub const JSON_MAX: u64 = 64 * 1024 * 1024;
/// The longest name or kind; the rest is cut.
const NAME_MAX: usize = 200;

/// What an event is called of which only the bytes are known.
pub const UNREAD: &str = "unread";
/// The member of an event that holds the digest of the bytes it was told in.
const TOLD: &str = "told";

/// What an event of an agent is called that is a tool call.
const TOOL_CALL: &str = notme_attest::level::TOOL_CALL;

/// Reads what an agent told, in any of the forms that are known: our own (`kind`, `name`, `input`,
/// `output`), the hooks of Claude Code, of Codex and of Cursor (`hook_event_name`), and the
/// notifications of Codex (`type`). What two readers could read in two ways has names, and no
/// digests of its members: that of the whole stands there instead.
///
/// # Errors
/// [`EventError`].
pub fn read(json: &[u8], now: UnixTime) -> Result<Event, EventError> {
    match parse_object(json) {
        Ok(told) => read_object(&told, now),
        Err(strictly) => {
            let Ok(Value::Object(mut told)) = serde_json::from_slice(json) else {
                return Err(strictly.into());
            };
            told.retain(|_, value| value.is_string());
            told.retain(|name, _| NAMES.contains(&name.as_str()));
            let mut event = read_object(&told, now)?;
            event.more = digest_of(json);
            Ok(event)
        }
    }
}

/// The members that say what an event is.
const NAMES: [&str; 5] = ["kind", "name", "hook_event_name", "tool_name", "type"];

/// Makes an event of what is none that is known.
pub fn unread(bytes: &[u8], now: UnixTime) -> Event {
    Event {
        kind: UNREAD.to_owned(),
        name: "unknown".to_owned(),
        at: now.to_string(),
        input: None,
        output: None,
        more: digest_of(bytes),
    }
}

/// Tells whether an event could have been made here.
pub fn is_ours(event: &Event) -> bool {
    let is_digest = |text: &str| {
        let digits = text.strip_prefix("sha256:").and_then(hex::decode);
        digits.is_some_and(|digits| digits.len() == 32)
    };
    let digests = [&event.input, &event.output];
    let mut more = event.more.iter();
    short(&event.kind) == event.kind
        && short(&event.name) == event.name
        && event.at.parse::<UnixTime>().is_ok()
        && digests.into_iter().flatten().all(|it| is_digest(it))
        && more.all(|(name, value)| name == TOLD && value.as_str().is_some_and(is_digest))
}

fn digest_of(bytes: &[u8]) -> Object {
    let digest = format!("sha256:{}", hex::encode(&sha256(bytes)));
    [(TOLD.to_owned(), digest.into())].into_iter().collect()
}

fn read_object(told: &Object, now: UnixTime) -> Result<Event, EventError> {
    let text = |member: &str| told.get(member).and_then(Value::as_str);
    if let Some(kind) = text("kind") {
        let name = text("name").unwrap_or("unknown");
        return event((kind, name), (told.get("input"), told.get("output")), now);
    }
    if let Some(hook) = text("hook_event_name") {
        return of_hook(told, hook, now);
    }
    if let Some(kind) = text("type") {
        let contents = (
            told.get("input-messages"),
            told.get("last-assistant-message"),
        );
        return event((kind, text("client").unwrap_or("codex")), contents, now);
    }
    Err(EventError::Unknown)
}

/// Neither input nor output of an event.
pub const NOTHING: (Option<&Value>, Option<&Value>) = (None, None);

/// Makes an event of ours.
///
/// # Errors
/// [`EventError::Json`].
pub fn event(
    (kind, name): (&str, &str),
    (input, output): (Option<&Value>, Option<&Value>),
    now: UnixTime,
) -> Result<Event, EventError> {
    let digest = |value: Option<&Value>| -> Result<Option<String>, EventError> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        Ok(Some(format!(
            "sha256:{}",
            hex::encode(&sha256(&canonical(value)?))
        )))
    };
    Ok(Event {
        kind: short(kind),
        name: short(name),
        at: now.to_string(),
        input: digest(input)?,
        output: digest(output)?,
        more: Object::new(),
    })
}

fn of_hook(told: &Object, hook: &str, now: UnixTime) -> Result<Event, EventError> {
    let get = |members: &[&str]| members.iter().find_map(|member| told.get(*member));
    // Cursor tells a shell's command and an edited file without naming a tool.
    let untold = match hook {
        "afterShellExecution" | "beforeShellExecution" => Some("shell"),
        "afterFileEdit" => Some("edit"),
        "beforeReadFile" => Some("read"),
        _ => None,
    };
    let tool = told.get("tool_name").and_then(Value::as_str).or(untold);
    let input = get(&["tool_input", "command", "edits", "prompt"]);
    let output = get(&["tool_response", "tool_output", "output", "result_json"]);
    let is_after =
        hook.starts_with("Post") || hook.starts_with("post") || hook.starts_with("after");
    match tool {
        Some(tool) if is_after => event((TOOL_CALL, tool), (input, output), now),
        Some(tool) => event((hook, tool), (input, output), now),
        None => event((hook, "agent"), (input, output), now),
    }
}

fn short(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect()
}

/// What was told is no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not a JSON object, or one that two readers could read in two ways.
    #[error("the event is no JSON object")]
    Json(#[from] JsonError),
    /// It has none of the members that say what it is.
    #[error("the event has none of `kind`, `hook_event_name` and `type`")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use notme_testkit::clock::NOW;

    use super::*;

    #[test]
    fn a_secret_in_a_tools_input_leaves_its_digest_only() {
        let told = br#"{"hook_event_name":"PostToolUse","tool_name":"Bash",
            "tool_input":{"command":"echo secret"},"tool_response":"secret"}"#;
        let event = read(told, NOW).unwrap();
        assert_eq!((&*event.kind, &*event.name), ("tool-call", "Bash"));
        let written = serde_json::to_string(&event).unwrap();
        assert!(!written.contains("secret"), "{written}");
        let digest = sha256(br#"{"command":"echo secret"}"#);
        let digest = format!("sha256:{}", hex::encode(&digest));
        assert_eq!(event.input, Some(digest));
        assert!(event.output.is_some());
    }

    #[test]
    fn reads_every_form_that_is_known() {
        for (told, kind, name) in [
            (r#"{"kind":"tool-call","name":"grep"}"#, "tool-call", "grep"),
            (r#"{"kind":"note"}"#, "note", "unknown"),
            (
                r#"{"hook_event_name":"UserPromptSubmit","prompt":"x"}"#,
                "UserPromptSubmit",
                "agent",
            ),
            (
                r#"{"hook_event_name":"PreToolUse","tool_name":"Edit"}"#,
                "PreToolUse",
                "Edit",
            ),
            (
                r#"{"hook_event_name":"afterShellExecution","command":"ls","output":""}"#,
                "tool-call",
                "shell",
            ),
            (
                r#"{"hook_event_name":"afterMCPExecution","tool_name":"fetch"}"#,
                "tool-call",
                "fetch",
            ),
            (
                r#"{"type":"agent-turn-complete","turn-id":"1","input-messages":["x"]}"#,
                "agent-turn-complete",
                "codex",
            ),
        ] {
            let event = read(told.as_bytes(), NOW).unwrap();
            assert_eq!((&*event.kind, &*event.name), (kind, name), "{told}");
        }
    }

    #[test]
    fn what_only_some_can_read_keeps_its_names_and_the_digest_of_the_whole() {
        for input in ["9007199254740993", "1e300", "{\"a\":1,\"a\":2}"] {
            let told = format!(
                "{{\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"Bash\",\"tool_input\":{input}}}"
            );
            let event = read(told.as_bytes(), NOW).unwrap();
            assert_eq!((&*event.kind, &*event.name), (TOOL_CALL, "Bash"));
            assert_eq!((&event.input, &event.output), (&None, &None));
            let digest = format!("sha256:{}", hex::encode(&sha256(told.as_bytes())));
            assert_eq!(event.more["told"], digest.as_str());
            assert!(is_ours(&event));
        }
    }

    #[test]
    fn events_with_other_members_are_not_ours() {
        let own = event(("a", "b"), (Some(&Value::from("x")), None), NOW).unwrap();
        assert!(is_ours(&own) && is_ours(&unread(b"x", NOW)));
        let mut at = own.clone();
        at.at = "never".to_owned();
        let mut more = own.clone();
        more.more.insert("contentOrigins".to_owned(), "x".into());
        let mut digest = own.clone();
        digest.input = Some("sha256:00".to_owned());
        let mut long = own;
        long.name = "n".repeat(NAME_MAX + 1);
        assert!([at, more, digest, long].iter().all(|event| !is_ours(event)));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for told in ["", "[]", "{}", "{\"kind\":1}", "{\"a\":1e999}"] {
            assert!(read(told.as_bytes(), NOW).is_err(), "{told}");
        }
    }
}
