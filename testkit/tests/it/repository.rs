use notme_testkit::{
    clock::NOW,
    commit::{CommitSpec, with_signature},
    repository::Repository,
};

#[test]
fn sees_no_configuration_but_its_own() {
    let repository = Repository::new();
    let origins = repository.git_ok(&["config", "--list", "--show-origin", "--name-only"]);
    assert!(
        origins
            .lines()
            .all(|line| line.starts_with("file:.git/config")),
        "{origins}"
    );
    assert_eq!(
        repository.git_ok(&["symbolic-ref", "HEAD"]),
        "refs/heads/main"
    );
}

#[test]
fn passes_nothing_of_our_environment_on() {
    let output = Repository::new().command("env").output().unwrap();
    let variables = String::from_utf8(output.stdout).unwrap();
    assert!(!variables.contains("CARGO"), "{variables}");
}

#[test]
fn the_same_commit_has_the_same_id() {
    let ids = [Repository::new(), Repository::new()].map(|world| world.commit("a", "b"));
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn hand_written_commits_are_what_git_writes() {
    let mut repository = Repository::new();
    repository.set_date(NOW.plus(1));
    let theirs = repository.commit("a", "b");
    let tree = repository.git_ok(&["rev-parse", "HEAD^{tree}"]);
    let spec = CommitSpec {
        at: NOW.plus(1),
        message: "a\n".to_owned(),
        ..CommitSpec::new(&tree)
    };
    assert_eq!(repository.write_commit_object(&spec.payload()), theirs);
    assert_eq!(repository.read_object("commit", &theirs), spec.payload());
}

#[test]
fn signatures_go_where_git_reads_them() {
    let repository = Repository::new();
    let payload = CommitSpec::new(&repository.empty_tree()).payload();
    let raw = with_signature(
        &payload,
        "gpgsig",
        "-----BEGIN X-----\nAAAA\n-----END X-----\n",
    );
    let oid = repository.write_commit_object(&raw);
    let raw = String::from_utf8(repository.read_object("commit", &oid)).unwrap();
    assert!(
        raw.contains("\ngpgsig -----BEGIN X-----\n AAAA\n -----END X-----\n\na change"),
        "{raw}"
    );
}

#[test]
fn sha256_repositories_have_long_ids() {
    assert_eq!(Repository::sha256().commit("a", "b").len(), 64);
}

#[test]
fn malformed_objects_can_be_stored_when_asked() {
    let repository = Repository::new();
    let oid = repository.write_object_unchecked("commit", b"tree \0nonsense");
    assert_eq!(repository.read_object("commit", &oid), b"tree \0nonsense");
}
