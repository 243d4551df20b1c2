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

/// What an event of an agent is called that is a tool call.
pub const TOOL_CALL: &str = notme_attest::level::TOOL_CALL;

/// Reads what an agent told, in any of the forms that are known: our own (`kind`, `name`, `input`,
/// `output`), the hooks of Claude Code, of Codex and of Cursor (`hook_event_name`), and the
/// notifications of Codex (`type`).
///
/// # Errors
/// [`EventError`].
pub fn read(json: &[u8], now: UnixTime) -> Result<Event, EventError> {
    let told = parse_object(json)?;
    let text = |member: &str| told.get(member).and_then(Value::as_str);
    if let Some(kind) = text("kind") {
        let name = text("name").unwrap_or("unknown");
        return event((kind, name), (told.get("input"), told.get("output")), now);
    }
    if let Some(hook) = text("hook_event_name") {
        return of_hook(&told, hook, now);
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
    fn what_is_no_event_is_refused() {
        for told in [
            "",
            "[]",
            "{}",
            "{\"kind\":1}",
            "{\"kind\":\"a\",\"kind\":\"b\"}",
        ] {
            assert!(read(told.as_bytes(), NOW).is_err(), "{told}");
        }
    }
}
