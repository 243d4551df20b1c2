//! What is printed.

use notme_core::{armor::armor, object::HashKind, object::ObjectKind};
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::CommitSpec,
    mint::Mint,
    repository::Repository as Git,
};
use notme_verifier::{
    Judge, Outcome, Policy, Repository, Trust,
    explain::{StepResult, explain},
    report::{
        Lines, escape, text_line, to_json, to_json_pretty, write_github, write_gitlab, write_html,
        write_json, write_junit, write_markdown, write_sarif,
    },
    trust::{Authority, PinKind},
    verify::Summary,
    verify_range,
};
use serde_json::{Value, json};

use crate::{
    history::identity,
    world::{assert_accepted, authority, bound_commit, commit_with, judge, payload, trust},
};

/// Judges a good commit and an unsigned child.
fn outcome() -> (Outcome, [String; 2]) {
    let git = Git::new();
    let good = CommitSpec::new(&git.empty_tree()).payload();
    let good = git.write_commit_object(&bound_commit(&good));
    let child = CommitSpec {
        parents: vec![good.clone()],
        ..CommitSpec::new(&git.empty_tree())
    };
    let child = git.write_commit_object(&child.payload());
    git.git_ok(&["update-ref", "refs/heads/main", &child]);
    let repository = Repository::discover(&git.path()).unwrap();
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select_all().unwrap();
    (
        verify_range(&repository, &selection, &judge).unwrap(),
        [child, good],
    )
}

#[test]
fn json_is_the_contract() {
    let (outcome, [child, good]) = outcome();
    let mut written = Vec::new();
    write_json(&outcome, &mut written).unwrap();
    let report: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["range"], "--all");
    assert_eq!(report["asked_at"], "2026-11-20T12:00:00Z");
    assert_eq!(
        report["summary"],
        json!({"objects": 2, "accepted": 1, "rejected": 1, "undecided": 0, "excepted": 0, "baseline": 0, "known_good": 0})
    );
    assert_eq!(
        report["objects"][0],
        json!({
            "oid": child, "kind": "commit", "verdict": "rejected", "code": "unsigned", "rule": null,
            "excused_from": null, "policy": null,
            "format": null, "identity": null, "claimed": null, "kid": null, "authority": null,
            "time_basis": null, "judged_at": null, "signing_time": null, "certificate": null,
            "terms": null, "timestamp": null,
            "log_entry": null, "oidc_issuer": null, "merge_tags": [],
            "unauthenticated_headers": null, "attestations": [], "level": null,
        })
    );
    let accepted = &report["objects"][1];
    assert_eq!(accepted["oid"], good.as_str());
    assert_eq!(accepted["verdict"], "accepted");
    assert_eq!(accepted["code"], Value::Null);
    assert_eq!(accepted["format"], "x509");
    assert_eq!(accepted["time_basis"], "issuance-bound");
    assert_eq!(accepted["judged_at"], "2026-11-20T11:59:00Z");
    assert_eq!(accepted["signing_time"], "2026-11-20T12:00:00Z");
    assert_eq!(
        accepted["identity"],
        "wimse://test.invalid/agent/alice/claude"
    );
    assert_eq!(accepted["kid"].as_str().unwrap().len(), 32);
    assert_eq!(accepted["authority"].as_str().unwrap().len(), 32);
    assert_eq!(accepted["certificate"]["not_after"], "2026-11-20T12:05:00Z");
}

#[test]
fn jsonl_says_the_same_with_the_summary_last() {
    let (outcome, _) = outcome();
    let (mut whole, mut lines) = (Vec::new(), Vec::new());
    write_json(&outcome, &mut whole).unwrap();
    Lines::Jsonl.write_all(&outcome, &mut lines).unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let lines: Vec<Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], whole["objects"][0]);
    assert_eq!(lines[1], whole["objects"][1]);
    assert_eq!(lines[2]["summary"], whole["summary"]);
    assert_eq!(lines[2]["policy"], whole["policy"]);
}

#[test]
fn an_empty_selection_is_still_json() {
    let git = Git::new();
    let repository = Repository::discover(&git.path()).unwrap();
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let outcome = verify_range(&repository, &repository.select_all().unwrap(), &judge).unwrap();
    let mut written = Vec::new();
    write_json(&outcome, &mut written).unwrap();
    let report: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(report["objects"], json!([]));
}

#[test]
fn text_is_one_line_an_object() {
    let (outcome, [child, good]) = outcome();
    let mut written = Vec::new();
    Lines::Text.write_all(&outcome, &mut written).unwrap();
    let text = String::from_utf8(written).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("rejected   {}  unsigned", &child[..10]));
    assert_eq!(
        lines[1],
        format!(
            "accepted   {}  wimse://test.invalid/agent/alice/claude  issuance-bound",
            &good[..10]
        )
    );
    assert_eq!(lines[2], "2 objects: 1 accepted, 1 rejected, 0 undecided");
}

fn written(outcome: &Outcome) -> String {
    let mut written = Vec::new();
    Lines::Text.write_all(outcome, &mut written).unwrap();
    String::from_utf8(written).unwrap()
}

/// Judges one commit in a store of two authorities.
fn outcome_of(git: &Git, trust: &Trust, id: &str) -> Outcome {
    let repository = Repository::discover(&git.path()).unwrap();
    let policy = Policy::from_trust(trust);
    let judge = Judge::new(&policy, trust, NOW);
    verify_range(&repository, &repository.select(id).unwrap(), &judge).unwrap()
}

#[test]
fn a_key_of_two_names_is_listed_under_both() {
    let git = Git::new();
    let mut parents = Vec::new();
    for name in ["alice", "bob"] {
        let spec = CommitSpec {
            parents,
            ..CommitSpec::new(&git.empty_tree())
        };
        let payload = spec.payload();
        let leaf = LeafSpec {
            identity: identity(name).parse().unwrap(),
            ..LeafSpec::bound_to(&payload)
        };
        let raw = authority().leaf(&leaf).sign_commit(&payload, NOW);
        parents = vec![git.write_commit_object(&raw)];
    }
    git.git_ok(&["update-ref", "refs/heads/main", &parents[0]]);
    let repository = Repository::discover(&git.path()).unwrap();
    let (trust, all) = (trust(), repository.select_all().unwrap());
    let policy = Policy::from_trust(&trust);
    let outcome = verify_range(&repository, &all, &Judge::new(&policy, &trust, NOW)).unwrap();
    let mut page = Vec::new();
    write_html(&outcome, &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let (_, keys) = page.split_once("<h3>Keys</h3>").unwrap();
    let (keys, _) = keys.split_once("</table>").unwrap();
    let rows: Vec<_> = keys
        .lines()
        .filter(|line| line.starts_with("<tr"))
        .collect();
    let [alice, bob] = rows[..] else {
        panic!("{rows:?}");
    };
    assert!(
        alice.contains(&identity("alice")) && alice.contains(">1<"),
        "{alice}"
    );
    assert!(
        bob.contains(&identity("bob")) && bob.contains(">1<"),
        "{bob}"
    );
    assert_eq!(keys.matches("id=\"k-").count(), 1);
}

#[test]
fn one_object_is_one_object_and_none_is_said() {
    let git = Git::new();
    let id = git.write_commit_object(&CommitSpec::new(&git.empty_tree()).payload());
    let text = written(&outcome_of(&git, &trust(), &id));
    assert!(text.ends_with("\n1 object: 0 accepted, 1 rejected, 0 undecided\n"));
    let text = written(&outcome_of(&git, &trust(), &format!("{id}..{id}")));
    assert_eq!(text, "nothing was selected, so nothing was judged\n");
}

#[test]
fn every_format_for_ci_says_that_nothing_was_selected() {
    let git = Git::new();
    let id = git.write_commit_object(&CommitSpec::new(&git.empty_tree()).payload());
    let none = outcome_of(&git, &trust(), &format!("{id}..{id}"));
    assert_eq!(none.exit_code(), 0);
    type Write = fn(&Outcome, &mut Vec<u8>) -> std::io::Result<()>;
    let formats: [Write; 6] = [
        write_sarif,
        write_gitlab,
        write_github,
        write_junit,
        write_markdown,
        write_html,
    ];
    for write in formats {
        let mut bytes = Vec::new();
        write(&none, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("nothing was selected"), "{text}");
    }
}

#[test]
fn the_authority_is_named_where_there_are_several() {
    let git = Git::new();
    let payload = CommitSpec::new(&git.empty_tree()).payload();
    let id = git.write_commit_object(&bound_commit(&payload));
    let named = |name: &str, seed, domain: &str| {
        let mut document = TestAuthority::new(seed).trust(1, NOW);
        document.trust_domain = domain.to_owned();
        Authority::from_document(name, PinKind::TrustDocument.default_scopes(), &document)
    };
    let one = || named("local", 1, "test.invalid");
    let line = |authorities| {
        let text = written(&outcome_of(&git, &Trust::new(authorities, vec![]), &id));
        text.lines().next().unwrap().to_owned()
    };
    assert!(!line(vec![one()]).contains("  by "));
    let several = line(vec![one(), named("other", 2, "other.invalid")]);
    assert!(several.contains("claude  by local"), "{several}");
}

#[test]
fn text_keeps_to_eighty_columns_where_words_allow() {
    let (outcome, _) = outcome();
    let (git, trust) = (Git::new(), trust());
    let strange = TestAuthority::new(7);
    let payload = CommitSpec::new(&git.empty_tree()).payload();
    let leaf = LeafSpec {
        identity: "wimse://a-host-with-a-long-name.example.org/agent/somebody/claude"
            .parse()
            .unwrap(),
        ..LeafSpec::bound_to(&payload)
    };
    let id = git.write_commit_object(&strange.leaf(&leaf).sign_commit(&payload, NOW));
    let session = git.write_commit_object(
        &authority()
            .leaf(&LeafSpec::default())
            .sign_commit(&payload, NOW),
    );
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let mut texts = vec![written(&outcome)];
    for id in [&id, &session] {
        let outcome = outcome_of(&git, &trust, id);
        texts.push(written(&outcome));
        texts.push(explain(outcome.objects()[0].judgement(), &judge).to_string());
    }
    for text in texts {
        for line in text.lines() {
            let words = line.trim_start().split(' ').count();
            assert!(line.chars().count() <= 80 || words == 1, "{line}");
        }
    }
}

#[test]
fn bytes_that_move_a_cursor_are_escaped() {
    assert_eq!(escape("a\u{1b}[2Jb\r\nc"), "a\\u{1b}[2Jb\\r\\nc");
    assert_eq!(
        escape("\u{202e}evil\u{200b}\u{7f}\u{9b}"),
        "\\u{202e}evil\\u{200b}\\u{7f}\\u{9b}"
    );
    // Those of the Arabic, soft hyphens, annotations, and tags: a text that nobody sees.
    for hidden in [
        "ad", "61c", "180e", "fff9", "fffa", "fffb", "e0001", "e0041", "e007f",
    ] {
        let c = char::from_u32(u32::from_str_radix(hidden, 16).unwrap()).unwrap();
        assert_eq!(escape(&format!("a{c}b")), format!("a\\u{{{hidden}}}b"));
    }
    assert_eq!(escape("plain ä 中"), "plain ä 中");
    let root = Mint::ca("evil\u{1b}]0;pwned\u{7}", 0x51, None).self_signed();
    let leaf = Mint::new("evil\u{1b}[31m", 0x61).signed_by(&root);
    let judgement = judge(&commit_with(&leaf.sign(&payload(), &[])));
    let line = text_line("x", &judgement);
    assert!(line.contains("claims to be"), "{line}");
    assert!(!line.contains(char::is_control), "{line:?}");
}

#[test]
fn json_for_a_terminal_is_the_same_json_in_other_words() {
    let value = json!({
        "\u{9b}31m": ["\u{202e}evil\u{200b}\u{7f}", "\u{1b}]0;x\u{7}\n", "ä 中 😀 \u{feff}"],
    });
    for text in [to_json(&value).unwrap(), to_json_pretty(&value).unwrap()] {
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        let is_moving =
            |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{feff}".contains(c);
        assert!(!text.contains(is_moving), "{text:?}");
        assert!(
            text.contains("\\u009b31m") && text.contains("ä 中 😀"),
            "{text}"
        );
    }
    assert!(!to_json(&value).unwrap().contains('\n'));
}

#[test]
fn exit_codes_put_rejection_before_doubt() {
    let code = |accepted, rejected, undecided| {
        let objects = accepted + rejected + undecided;
        Summary {
            objects,
            accepted,
            rejected,
            undecided,
            ..Summary::default()
        }
        .exit_code()
    };
    assert_eq!(code(2, 0, 0), 0);
    // Nothing was looked at.
    assert_eq!(code(0, 0, 0), 3);
    assert_eq!(code(1, 1, 0), 1);
    assert_eq!(code(1, 1, 1), 1);
    assert_eq!(code(1, 0, 1), 3);
}

#[test]
fn explains_every_step_and_what_is_not_shown() {
    let trust = trust();
    let policy = Policy::from_trust(&trust);
    let judge = Judge::new(&policy, &trust, NOW);
    let judged = |raw: &[u8]| judge.judge_object(ObjectKind::Commit, raw, HashKind::Sha1);
    let good = judged(&bound_commit(&payload()));
    assert_accepted(&good);
    let explanation = explain(&good, &judge);
    assert_eq!(explanation.steps().len(), 7);
    assert!(explanation.steps().iter().all(|step| step.result == Passed));
    assert_eq!(explanation.verdict(), "accepted");
    assert!(explanation.not_shown().len() >= 4);
    let text = explanation.to_string();
    assert!(text.contains("names this very payload") && text.contains("This does not show:"));

    let results = |raw: &[u8]| -> Vec<_> {
        explain(&judged(raw), &judge)
            .steps()
            .iter()
            .map(|step| step.result)
            .collect()
    };
    use StepResult::{Failed, NotReached, Passed, Undecided};
    assert_eq!(
        results(&payload()),
        [
            Passed, Failed, NotReached, NotReached, NotReached, NotReached, NotReached
        ]
    );
    let writer = notme_core::ssh::wire::Writer::new;
    let key = writer().string(b"ssh-of-tomorrow").finish();
    let blob = writer().bytes(b"SSHSIG").u32(1).string(&key).finish();
    let ssh = armor(&blob).replace("SIGNED MESSAGE", "SSH SIGNATURE");
    let raw = notme_testkit::commit::with_signature(&payload(), "gpgsig", &ssh);
    assert_eq!(results(&raw)[2], Undecided);
    let mut altered = bound_commit(&payload());
    altered.push(b'x');
    assert_eq!(results(&altered)[..4], [Passed, Passed, Failed, NotReached]);
}
