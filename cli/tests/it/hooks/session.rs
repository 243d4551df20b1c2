//! A whole session of an agent, from its first commit to somebody else's clone.

use notme_testkit::repository::{Repository, run};
use serde_json::Value;

use super::notme_in_ok;
use crate::world::{World, told};

const SESSION: &str = r#"
for number in 1 2 3 4 5 6 7 8 9 10; do
    echo "$number" >"file-$number"
    git add "file-$number"
    "$NOTME" record --kind tool-call --name Write
    git commit -q -m "commit $number"
done
git checkout -q -b aside HEAD~3
echo aside >aside
git add aside
git commit -q -m aside
git checkout -q main
git rebase -q aside
git push -q origin main
"#;

/// Ten commits, three of them rebased, pushed through a server that verifies; then a fresh clone
/// is verified offline, and the human's settings are what they were, to the byte.
#[test]
fn an_agents_session_is_verified_by_a_stranger() {
    let world = World::new();
    let bare = world.remote();
    notme_in_ok(&world, &bare.path(), &["hooks", "install", "--server"]);
    // The agent is there before the server trusts it.
    world.notme_ok(&["run", "--agent", "claude", "--", "true"]);
    let settings = || world.git(&["config", "--list", "--show-origin"]).stdout;
    let before = settings();
    let mut command = world.notme_command();
    let options = [
        "run",
        "--agent",
        "claude",
        "--model",
        "m",
        "--provider",
        "p",
    ];
    let session = command
        .args(options)
        .args(["--", "sh", "-ec", SESSION])
        .env("NOTME", crate::world::NOTME);
    let output = run(session, b"");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(settings(), before);

    let clone = world.another_repository(Repository::new());
    let url = bare.path();
    clone.git_ok(&["remote", "add", "origin", url.to_str().unwrap()]);
    clone.git_ok(&["pull", "-q", "origin", "main"]);
    clone.notme_ok(&["attest", "fetch", "origin"]);
    // Offline: neither authority nor key agent is asked.
    world.notme_ok(&["agent", "stop"]);
    world.notme_ok(&["authority", "stop"]);
    let (exit, document) = clone.verdicts(&["--all"]);
    assert_eq!(exit, Some(0), "{document}");
    let objects = document["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 11);
    for object in objects {
        assert_eq!(object["verdict"], "accepted");
        assert_eq!(object["level"], "L2", "{object}");
        assert_eq!(object["time_basis"], "issuance-bound");
    }
    let judged = clone.notme_ok(&["attest", "verify", "HEAD~10..", "--json"]);
    let judged: Value = serde_json::from_str(&judged).unwrap();
    assert!(
        judged
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["verdict"] == "accepted")
    );
}
