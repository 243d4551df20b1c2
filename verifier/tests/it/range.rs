//! Whole repositories: what is walked, in which order, and what is missing.

use std::{fs, os::unix::fs::PermissionsExt as _};

use notme_core::key::sha256;
use notme_testkit::{
    cast::LeafSpec,
    clock::NOW,
    commit::{CommitSpec, with_signature},
    repository::Repository as Git,
};
use notme_verifier::{
    Code, Judge, Outcome, Policy, Repository, TimeBasis, Verdict,
    repository::{ObjectId, RepositoryError, Selection},
    verify_range,
};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::world::{authority, bound_commit, floor, trust};

const HOUR: i64 = 3600;

/// How a test commit is signed.
#[derive(Clone, Copy)]
enum Signed {
    Bound,
    BySession,
    Not,
}

/// Writes a commit that is `age` seconds old.
fn commit(git: &Git, parents: &[&str], age: i64, signed: Signed) -> String {
    let at = NOW.plus(-age);
    let spec = CommitSpec {
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        at,
        ..CommitSpec::new(&git.empty_tree())
    };
    let payload = spec.payload();
    let leaf = LeafSpec {
        not_before: at.plus(-60),
        not_after: at.plus(300),
        ..LeafSpec::default()
    };
    let raw = match signed {
        Signed::Bound => authority()
            .leaf(&LeafSpec {
                payload_digest: Some(sha256(&payload)),
                ..leaf
            })
            .sign_commit(&payload, at),
        Signed::BySession => authority().leaf(&leaf).sign_commit(&payload, at),
        Signed::Not => payload,
    };
    git.write_commit_object(&raw)
}

fn branch(git: &Git, name: &str, id: &str) {
    git.git_ok(&["update-ref", &format!("refs/heads/{name}"), id]);
}

fn open(git: &Git) -> Repository {
    Repository::discover(&git.path()).unwrap()
}

fn verify(git: &Git, policy: &Policy, select: impl FnOnce(&Repository) -> Selection) -> Outcome {
    let repository = open(git);
    let judge = Judge::new(policy, &trust(), NOW);
    verify_range(&repository, &select(&repository), &judge).unwrap()
}

fn verify_spec(git: &Git, spec: &str) -> Outcome {
    verify(git, &floor("declared"), |repository| {
        repository.select(spec).unwrap()
    })
}

fn verify_all(git: &Git) -> Outcome {
    verify(git, &floor("declared"), |repository| {
        repository.select_all().unwrap()
    })
}

fn ids(outcome: &Outcome) -> Vec<String> {
    outcome
        .objects()
        .iter()
        .map(|object| object.id().to_string())
        .collect()
}

fn bases(outcome: &Outcome) -> Vec<Option<TimeBasis>> {
    outcome
        .objects()
        .iter()
        .map(|object| object.judgement().time_basis())
        .collect()
}

fn codes(outcome: &Outcome) -> Vec<Option<Code>> {
    outcome
        .objects()
        .iter()
        .map(|object| object.judgement().verdict().code())
        .collect()
}

fn basis_of(outcome: &Outcome, id: &str) -> Option<TimeBasis> {
    let position = ids(outcome).iter().position(|other| other == id).unwrap();
    bases(outcome)[position]
}

/// Four commits in a line, one an hour, all bound.
fn line(git: &Git) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for hour in 0..4 {
        let parents: Vec<&str> = ids.last().map(String::as_str).into_iter().collect();
        ids.push(commit(git, &parents, (4 - hour) * HOUR, Signed::Bound));
    }
    branch(git, "main", ids.last().unwrap());
    ids
}

#[test]
fn walks_ranges_newest_first() {
    let git = Git::new();
    let line = line(&git);
    let outcome = verify_spec(&git, &format!("{}..main", line[0]));
    assert_eq!(ids(&outcome), [&*line[3], &line[2], &line[1]]);
    assert_eq!(outcome.summary().accepted, 3);
    assert_eq!(outcome.summary().exit_code(), 0);
    assert_eq!(ids(&verify_all(&git)).len(), 4);
    assert_eq!(
        ids(&verify_spec(&git, "main^@")),
        [&*line[2], &line[1], &line[0]]
    );
    for alone in ["main", "HEAD", "main^!", &line[3], &line[3][..12]] {
        assert_eq!(
            ids(&verify_spec(&git, alone)),
            [line[3].as_str()],
            "{alone}"
        );
    }
}

#[test]
fn agrees_with_git_about_every_range() {
    let git = Git::new();
    let a = commit(&git, &[], 9 * HOUR, Signed::Bound);
    let b = commit(&git, &[&a], 8 * HOUR, Signed::Bound);
    let c = commit(&git, &[&a], 7 * HOUR, Signed::Not);
    let d = commit(&git, &[&b, &c], 6 * HOUR, Signed::Bound);
    let e = commit(&git, &[&c], 5 * HOUR, Signed::Bound);
    let f = commit(&git, &[&e, &d], 4 * HOUR, Signed::Bound);
    // Dates that lie: older than its parents, and as old as them.
    let g = commit(&git, &[&d], 8 * HOUR, Signed::Bound);
    let h = commit(&git, &[&g, &f], 4 * HOUR, Signed::Bound);
    // And so old that what it leads to is met from elsewhere before.
    let i = commit(&git, &[&b], 20 * HOUR, Signed::Bound);
    let j = commit(&git, &[&i], 7 * HOUR, Signed::Bound);
    branch(&git, "main", &h);
    branch(&git, "other", &j);
    let names = [&a, &b, &c, &d, &e, &f, &g, &h, &i, &j];
    let repository = open(&git);
    for one in names {
        for other in names {
            for dots in ["..", "..."] {
                let range = format!("{one}{dots}{other}");
                let expected = git.git_ok(&["rev-list", &range]);
                let expected: Vec<_> = expected.lines().collect();
                assert_eq!(ids(&verify_spec(&git, &range)), expected, "{range}");
                let commits = repository.commits(&repository.select(&range).unwrap());
                let commits = commits.unwrap().into_iter().map(|id| id.to_string());
                assert_eq!(commits.collect::<Vec<_>>(), expected, "{range}");
            }
        }
    }
    let expected = git.git_ok(&["rev-list", "--all"]);
    assert_eq!(ids(&verify_all(&git)), expected.lines().collect::<Vec<_>>());
}

#[test]
fn the_default_is_what_head_has_over_its_upstream() {
    let git = Git::new();
    let line = line(&git);
    let default = |git: &Git| {
        ids(&verify(git, &floor("declared"), |repository| {
            repository.select_default().unwrap()
        }))
    };
    assert_eq!(default(&git), [line[3].as_str()]);
    git.git_ok(&["config", "remote.origin.url", "nowhere"]);
    git.git_ok(&[
        "config",
        "remote.origin.fetch",
        "+refs/heads/*:refs/remotes/origin/*",
    ]);
    git.git_ok(&["config", "branch.main.remote", "origin"]);
    git.git_ok(&["config", "branch.main.merge", "refs/heads/main"]);
    assert_eq!(default(&git), [line[3].as_str()]);
    git.git_ok(&["update-ref", "refs/remotes/origin/main", &line[1]]);
    assert_eq!(default(&git), [line[3].as_str(), &line[2]]);
    git.git_ok(&["update-ref", "refs/remotes/origin/main", &line[3]]);
    assert_eq!(default(&git), [line[3].as_str()]);
    // Behind it: there is nothing over it, and HEAD is judged all the same.
    branch(&git, "main", &line[1]);
    assert_eq!(default(&git), [line[1].as_str()]);
    branch(&git, "main", &line[3]);
    branch(&git, "base", &line[2]);
    git.git_ok(&["config", "branch.main.remote", "."]);
    git.git_ok(&["config", "branch.main.merge", "refs/heads/base"]);
    branch(&git, "base", &line[0]);
    assert_eq!(default(&git).len(), 3);
    git.git_ok(&["checkout", "--quiet", "--detach", &line[3]]);
    assert_eq!(default(&git), [line[3].as_str()]);
}

#[test]
fn an_unborn_head_names_nothing() {
    let git = Git::new();
    let repository = open(&git);
    for error in [
        repository.select_default().unwrap_err(),
        repository.select("HEAD").unwrap_err(),
        repository.select("HEAD~2..HEAD").unwrap_err(),
    ] {
        assert!(matches!(error, RepositoryError::Unborn { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "there are no commits yet on branch `main`"
        );
        assert_eq!(error.code(), None);
        assert_eq!(error.usage_code(), Some("no-commits"));
    }
    let outcome = verify_all(&git);
    assert_eq!(ids(&outcome).len(), 0);
    assert_eq!(outcome.exit_code(), 3);
}

#[test]
fn an_empty_selection_is_no_yes_and_an_empty_range_is() {
    let git = Git::new();
    let line = line(&git);
    let none = verify(&git, &floor("declared"), |repository| {
        repository.select_ids([]).unwrap()
    });
    assert_eq!(none.exit_code(), 3);
    let tags = verify(&git, &floor("declared"), |repository| {
        repository.select_tags().unwrap()
    });
    assert_eq!(tags.exit_code(), 3);
    for range in [
        "main..main".to_owned(),
        format!("main..{}", line[0]),
        "main...main".to_owned(),
    ] {
        let outcome = verify_spec(&git, &range);
        assert_eq!(ids(&outcome).len(), 0);
        assert_eq!(outcome.exit_code(), 0, "{range}");
        assert_eq!(outcome.summary().exit_code(), 3);
    }
    let both = verify(&git, &floor("declared"), |repository| {
        let range = repository.select("main..main").unwrap();
        range.and(repository.select_tags().unwrap())
    });
    assert_eq!(both.exit_code(), 3);
}

#[test]
fn text_that_names_nothing_is_a_question_wrongly_put() {
    let git = Git::new();
    line(&git);
    for bad in [
        "nothing",
        "main..nothing",
        "",
        "^main",
        "main^9",
        "main:file",
    ] {
        let error = open(&git).select(bad).unwrap_err();
        assert_eq!(error.code(), None, "{bad}");
        assert!(error.usage_code().is_some(), "{bad}: {error}");
    }
    // History ends there for everybody.
    let error = open(&git).select("main~4..main").unwrap_err();
    assert_eq!(error.usage_code(), Some("revision-unknown"));
}

#[test]
fn objects_named_one_by_one_are_judged_in_that_order() {
    let git = Git::new();
    let line = line(&git);
    let wanted = [line[1].as_str(), &line[3], &line[0]];
    let outcome = verify(&git, &floor("declared"), |repository| {
        repository.select_ids(wanted).unwrap()
    });
    assert_eq!(ids(&outcome), wanted);
}

#[test]
fn a_tag_is_judged_itself_when_it_is_named() {
    let git = Git::new();
    let line = line(&git);
    let payload = format!(
        "object {}\ntype commit\ntag v1\ntagger Test <t@example.invalid> {} +0000\n\nrelease\n",
        line[3],
        NOW.plus(-1800).secs()
    );
    let leaf = LeafSpec {
        not_before: NOW.plus(-1860),
        ..LeafSpec::bound_to(payload.as_bytes())
    };
    let cms = authority().leaf(&leaf).sign_cms(payload.as_bytes(), NOW);
    let raw = format!("{payload}{}", notme_core::armor::armor(&cms));
    let tag = git.write_object_unchecked("tag", raw.as_bytes());
    git.git_ok(&["update-ref", "refs/tags/v1", &tag]);
    git.git_ok(&["update-ref", "refs/tags/light", &line[0]]);

    let outcome = verify_spec(&git, "v1");
    assert_eq!(ids(&outcome), [tag.as_str()]);
    assert_eq!(outcome.objects()[0].kind(), Some("tag"));
    assert_eq!(outcome.summary().accepted, 1);
    let tags = verify(&git, &floor("declared"), |repository| {
        repository.select_tags().unwrap()
    });
    assert_eq!(ids(&tags), [tag.as_str()]);
    let both = verify(&git, &floor("declared"), |repository| {
        repository
            .select_all()
            .unwrap()
            .and(repository.select_tags().unwrap())
    });
    assert_eq!(ids(&both).len(), 5);
    assert_eq!(ids(&both)[4], tag);
    assert_eq!(
        ids(&verify_spec(&git, &format!("{}..v1", line[2]))),
        [line[3].as_str()]
    );
}

/// What one ref leads to keeps nobody from the rest.
#[test]
fn all_is_judged_whatever_a_tag_leads_to() {
    let git = Git::new();
    let line = line(&git);
    let hidden = commit(&git, &[], HOUR, Signed::Not);
    let missing = "1".repeat(40);
    let tag = |target: &str, kind: &str| {
        let raw =
            format!("object {target}\ntype {kind}\ntag t\ntagger A <a@b.invalid> 1 +0000\n\nx\n");
        git.write_object_unchecked("tag", raw.as_bytes())
    };
    let mut deep = tag(&hidden, "commit");
    for _ in 0..100 {
        deep = tag(&deep, "tag");
    }
    let lost = tag(&missing, "commit");
    git.git_ok(&["update-ref", "refs/tags/deep", &deep]);
    git.git_ok(&["update-ref", "refs/tags/lost", &lost]);
    let outcome = verify_all(&git);
    let mut judged = ids(&outcome);
    judged.sort();
    let mut expected = [&line[..], &[hidden.clone(), missing.clone()]].concat();
    expected.sort();
    assert_eq!(judged, expected);
    let code = |id: &str| {
        let at = ids(&outcome).iter().position(|it| it == id).unwrap();
        codes(&outcome)[at]
    };
    assert_eq!(code(&hidden), Some(Code::Unsigned));
    assert_eq!(code(&missing), Some(Code::ObjectMissing));
}

#[test]
fn the_ref_of_a_range_is_that_of_its_end_and_of_two_sides_none() {
    let git = Git::new();
    let line = line(&git);
    branch(&git, "feat", &line[2]);
    let clone = git.home().join("clone");
    let url = format!("file://{}", git.path().display());
    git.git_ok(&["clone", "--quiet", &url, clone.to_str().unwrap()]);
    let repository = Repository::discover(&clone).unwrap();
    let path = clone.to_str().unwrap();
    git.git_ok(&["-C", path, "update-ref", "refs/remotes/x/feat", &line[2]]);
    git.git_ok(&["-C", path, "branch", "--quiet", "feat", "origin/feat"]);
    let reference = |text: &str| {
        let selection = repository.select(text).unwrap();
        selection.reference().map(str::to_owned)
    };
    let feat = Some("refs/heads/feat".to_owned());
    assert_eq!(reference("feat"), feat);
    assert_eq!(reference("main..feat"), feat);
    assert_eq!(reference("main..origin/feat"), feat);
    assert_eq!(reference("main...feat"), None);
    assert_eq!(reference("main..."), None);
    // No remote of that name fetches it.
    assert_eq!(reference("x/feat"), None);
    assert_eq!(reference("main..x/feat"), None);
}

#[test]
fn a_ref_that_leads_to_another_is_for_that_one_and_what_is_no_branch_for_none() {
    let git = Git::new();
    let line = line(&git);
    let clone = git.home().join("clone");
    let path = clone.to_str().unwrap();
    let url = format!("file://{}", git.path().display());
    git.git_ok(&["clone", "--quiet", &url, path]);
    let in_clone = |arguments: &[&str]| git.git_ok(&[&["-C", path], arguments].concat());
    in_clone(&["worktree", "add", "--quiet", "-b", "side", "../wt"]);
    in_clone(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    in_clone(&["symbolic-ref", "refs/heads/second", "refs/heads/alias"]);
    in_clone(&["symbolic-ref", "refs/heads/of-tag", "refs/tags/light"]);
    in_clone(&["tag", "light"]);
    in_clone(&["fetch", "--quiet", "origin"]);
    for name in ["ORIG_HEAD", "MERGE_HEAD"] {
        fs::write(clone.join(".git").join(name), format!("{}\n", line[3])).unwrap();
    }
    for name in [
        "refs/stash",
        "refs/pull/1/head",
        "refs/notes/x",
        "refs/remotes/direct/HEAD",
        "refs/heads/HEAD",
    ] {
        in_clone(&["update-ref", name, &line[3]]);
    }
    in_clone(&["config", "remote.direct.url", &url]);
    let refspec = "+refs/heads/*:refs/remotes/direct/*";
    in_clone(&["config", "remote.direct.fetch", refspec]);
    in_clone(&["config", "remote.pulls.url", &url]);
    let refspec = "+refs/pull/*:refs/remotes/pulls/*";
    in_clone(&["config", "remote.pulls.fetch", refspec]);
    in_clone(&["update-ref", "refs/remotes/pulls/1", &line[3]]);
    let repository = Repository::discover(&clone).unwrap();
    let base = &line[0];
    for (name, expected) in [
        ("main", Some("refs/heads/main")),
        ("origin/main", Some("refs/heads/main")),
        ("origin", Some("refs/heads/main")),
        ("origin/HEAD", Some("refs/heads/main")),
        ("refs/remotes/origin/HEAD", Some("refs/heads/main")),
        ("HEAD", Some("refs/heads/main")),
        ("@", Some("refs/heads/main")),
        ("", Some("refs/heads/main")),
        ("alias", Some("refs/heads/main")),
        ("second~1", Some("refs/heads/main")),
        ("of-tag", None),
        ("main-worktree/HEAD", Some("refs/heads/main")),
        ("worktrees/wt/HEAD", Some("refs/heads/side")),
        ("FETCH_HEAD", None),
        ("ORIG_HEAD", None),
        ("MERGE_HEAD", None),
        ("stash", None),
        ("refs/pull/1/head", None),
        ("refs/notes/x", None),
        ("refs/remotes/direct/HEAD", None),
        ("pulls/1", None),
        ("refs/heads/HEAD", None),
    ] {
        let selection = repository.select(&format!("{base}..{name}")).unwrap();
        assert_eq!(selection.reference(), expected, "{name}");
    }
    // Whatever else is called so.
    for name in ["refs/tags/@", "refs/heads/@", "refs/remotes/origin/@"] {
        in_clone(&["update-ref", name, base]);
    }
    let tips = |name| {
        let selection = repository.select(name).unwrap();
        selection.tips().collect::<Vec<_>>()
    };
    for name in ["@", "@~0", "@^{commit}"] {
        let selection = repository.select(name).unwrap();
        assert_eq!(tips(name), tips("HEAD"), "{name}");
        assert_eq!(selection.reference(), Some("refs/heads/main"), "{name}");
    }
    // That of a branch which stands for another is the other.
    in_clone(&["symbolic-ref", "HEAD", "refs/heads/alias"]);
    let repository = Repository::discover(&clone).unwrap();
    let main = Some("refs/heads/main");
    assert_eq!(repository.select("HEAD").unwrap().reference(), main);
    assert_eq!(repository.select_last(1).unwrap().reference(), main);
    assert_eq!(repository.head_branch().unwrap().as_deref(), main);
}

#[test]
fn a_name_that_may_be_several_things_is_a_question_wrongly_put() {
    let git = Git::new();
    let line = line(&git);
    git.git_ok(&["update-ref", "refs/tags/main", &line[1]]);
    for text in [
        "main",
        "main~1",
        "main..HEAD",
        "HEAD...main",
        "main^{commit}",
    ] {
        let error = open(&git).select(text).unwrap_err();
        assert_eq!(error.usage_code(), Some("revision-ambiguous"), "{text}");
        assert_eq!(error.code(), None);
    }
    assert_eq!(
        open(&git).select("refs/heads/main").unwrap().reference(),
        Some("refs/heads/main")
    );
    // git takes neither for an id, as long as there is such a ref.
    let hex = &line[2][..6];
    for name in [format!("{hex}-detection"), format!("v1-0-g{hex}")] {
        branch(&git, &name, &line[0]);
        assert_eq!(ids(&verify_spec(&git, &name)), [line[0].as_str()], "{name}");
        let range = format!("refs/heads/{name}..refs/heads/main");
        assert_eq!(ids(&verify_spec(&git, &range)).len(), 3, "{range}");
    }
}

#[test]
fn trees_and_files_are_never_signed() {
    let git = Git::new();
    line(&git);
    let tree = git.empty_tree();
    let outcome = verify_spec(&git, &tree);
    assert_eq!(codes(&outcome), [Some(Code::ObjectMalformed)]);
    assert_eq!(outcome.objects()[0].kind(), Some("tree"));
}

#[test]
fn merges_are_walked_on_both_sides() {
    let git = Git::new();
    let root = commit(&git, &[], 9 * HOUR, Signed::Bound);
    let left = commit(&git, &[&root], 8 * HOUR, Signed::Bound);
    let right = commit(&git, &[&root], 7 * HOUR, Signed::Not);
    let merge = commit(&git, &[&left, &right], 6 * HOUR, Signed::Bound);
    branch(&git, "main", &merge);
    let outcome = verify_all(&git);
    assert_eq!(codes(&outcome), [None, Some(Code::Unsigned), None, None]);
    assert_eq!(outcome.summary().exit_code(), 1);
}

#[test]
fn sha256_repositories_use_their_own_header() {
    let git = Git::sha256();
    let payload = CommitSpec::new(&git.empty_tree()).payload();
    let cms = authority()
        .leaf(&LeafSpec::bound_to(&payload))
        .sign_cms(&payload, NOW);
    let signature = notme_core::armor::armor(&cms);
    let good = git.write_commit_object(&with_signature(&payload, "gpgsig-sha256", &signature));
    let other = git.write_commit_object(&with_signature(&payload, "gpgsig", &signature));
    branch(&git, "main", &good);
    branch(&git, "other", &other);
    assert_eq!(good.len(), 64);
    assert_eq!(codes(&verify_spec(&git, "main")), [None]);
    assert_eq!(codes(&verify_spec(&git, "other")), [Some(Code::Unsigned)]);
}

#[test]
fn a_shallow_clone_is_judged_as_far_as_it_goes_and_says_where_it_ends() {
    let git = Git::new();
    let line = line(&git);
    let clone = git.home().join("clone");
    let url = format!("file://{}", git.path().display());
    git.git_ok(&[
        "clone",
        "--quiet",
        "--no-checkout",
        "--depth=2",
        &url,
        clone.to_str().unwrap(),
    ]);
    let repository = Repository::discover(&clone).unwrap();
    let policy = floor("declared");
    let judge = Judge::new(&policy, &trust(), NOW);
    let outcome = verify_range(&repository, &repository.select_all().unwrap(), &judge).unwrap();
    assert_eq!(ids(&outcome), [line[3].as_str(), &line[2]]);
    assert_eq!(outcome.summary().accepted, 2);
    let shallow: Vec<_> = outcome.shallow().iter().map(ToString::to_string).collect();
    assert_eq!(shallow, [line[2].as_str()]);
    // A range whose beginning is not here cannot be known.
    let error = repository
        .select(&format!("{}..HEAD", line[0]))
        .unwrap_err();
    assert_eq!(error.code(), Some("object-missing"));
    for text in [
        "HEAD~5..HEAD",
        "HEAD~2..",
        "HEAD~5",
        "HEAD~2",
        "main~1^..main",
        "HEAD~3^!",
    ] {
        let error = repository.select(text).unwrap_err();
        assert_eq!(error.code(), Some("object-missing"), "{text}: {error}");
        assert_eq!(error.usage_code(), None);
        assert!(error.to_string().contains(&line[2]), "{text}: {error}");
    }
    for mistake in ["HEAD^2..HEAD", "nothing~5..HEAD", "HEAD~x..HEAD"] {
        let error = repository.select(mistake).unwrap_err();
        assert_eq!(error.usage_code(), Some("revision-unknown"), "{mistake}");
    }
    let outcome = verify_range(&repository, &repository.select(&line[0]).unwrap(), &judge).unwrap();
    assert_eq!(codes(&outcome), [Some(Code::ObjectMissing)]);
    assert_eq!(outcome.summary().exit_code(), 3);
    assert_eq!(outcome.objects()[0].kind(), None);
}

/// Returns where a loose object lies.
fn loose(git: &Git, id: &str) -> std::path::PathBuf {
    git.path()
        .join(".git/objects")
        .join(&id[..2])
        .join(&id[2..])
}

#[test]
fn a_missing_parent_is_undecided_and_named_with_its_child() {
    let git = Git::new();
    let line = line(&git);
    fs::remove_file(loose(&git, &line[1])).unwrap();
    let outcome = verify_all(&git);
    assert_eq!(ids(&outcome), [line[3].as_str(), &line[2], &line[1]]);
    assert_eq!(codes(&outcome), [None, None, Some(Code::ObjectMissing)]);
    let detail = outcome.objects()[2].judgement().detail().unwrap();
    assert!(detail.contains(&line[2]), "{detail}");
    assert_eq!(outcome.summary().exit_code(), 3);
}

#[test]
fn a_ref_to_a_missing_object_is_undecided() {
    let git = Git::new();
    let line = line(&git);
    branch(&git, "other", &line[0]);
    fs::remove_file(loose(&git, &line[3])).unwrap();
    let outcome = verify_all(&git);
    assert_eq!(ids(&outcome).len(), 2);
    let missing = ids(&outcome).iter().position(|id| *id == line[3]).unwrap();
    assert_eq!(codes(&outcome)[missing], Some(Code::ObjectMissing));
    assert_eq!(outcome.exit_code(), 3);
    for select in [
        open(&git).select("main"),
        open(&git).select("HEAD"),
        open(&git).select_default(),
        open(&git).select("other..main"),
        open(&git).select("main~1"),
    ] {
        match select {
            Ok(selection) => {
                let outcome = verify(&git, &floor("declared"), |_| selection);
                assert_eq!(codes(&outcome), [Some(Code::ObjectMissing)]);
            }
            Err(error) => assert_eq!(error.code(), Some("object-missing"), "{error}"),
        }
    }
}

/// What git runs when it has received a push, before anybody may see the new objects.
const HOOK: &str = "#!/bin/sh\n\
    read old new name\n\
    { pwd; echo \"$GIT_DIR\"; echo \"$GIT_OBJECT_DIRECTORY\"; \
    echo \"$GIT_ALTERNATE_OBJECT_DIRECTORIES\"; echo \"$old\"; echo \"$new\"; } >\"$HOME/seen\"\n\
    cp -r \"$GIT_OBJECT_DIRECTORY\" \"$HOME/quarantine\"\n\
    exit 1\n";

#[test]
fn a_hook_judges_what_a_push_has_brought_and_nobody_accepted() {
    for unpack_limit in ["1", "100"] {
        let (git, bare) = (Git::new(), Git::bare());
        let line = line(&git);
        let url = bare.path().display().to_string();
        git.git_ok(&[
            "push",
            "--quiet",
            &url,
            &format!("{}:refs/heads/main", line[1]),
        ]);
        bare.git_ok(&["config", "receive.unpackLimit", unpack_limit]);
        let hook = bare.path().join("hooks/pre-receive");
        fs::write(&hook, HOOK).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!git.git(&["push", "--quiet", &url, "main"]).status.success());

        let seen = fs::read_to_string(git.home().join("seen")).unwrap();
        let [here, git_dir, objects, alternates, old, new] =
            <[&str; 6]>::try_from(seen.lines().collect::<Vec<_>>()).unwrap();
        let here = std::path::Path::new(here);
        // git took its directory away again; this is a copy from while it was there.
        assert!(objects.contains("incoming"), "{objects}");
        let quarantine = git.home().join("quarantine");
        let alternates: Vec<_> = std::env::split_paths(alternates)
            .map(|path| here.join(path))
            .collect();
        let open = || Repository::open(&here.join(git_dir)).unwrap();
        let outside = open();
        let inside = open().with_objects(Some(&quarantine), &alternates).unwrap();
        assert_eq!((old, new), (line[1].as_str(), line[3].as_str()));
        let policy = floor("declared");
        let judge = Judge::new(&policy, &trust(), NOW);
        let verdicts = |repository: &Repository, text: &str| {
            let selection = repository.select(text).unwrap();
            verify_range(repository, &selection, &judge).unwrap()
        };
        let unseen = verdicts(&outside, new);
        assert_eq!(codes(&unseen), [Some(Code::ObjectMissing)]);
        assert_eq!(verdicts(&inside, new).exit_code(), 0);
        for range in [
            format!("{old}..{new}"),
            format!("main..{new}"),
            format!("{old}...{new}"),
            format!("{new}~2..{new}"),
        ] {
            let outcome = verdicts(&inside, &range);
            assert_eq!(ids(&outcome), [line[3].as_str(), &line[2]], "{range}");
            assert_eq!(outcome.summary().accepted, 2);
        }
        assert!(inside.read(new.parse().unwrap()).is_ok());
    }
    let git = Git::new();
    let nowhere = git.home().join("nowhere");
    let open = || Repository::open(&git.path().join(".git")).unwrap();
    let error = open().with_objects(Some(&nowhere), &[]).unwrap_err();
    assert!(matches!(error, RepositoryError::Objects { .. }), "{error}");
    assert!(open().with_objects(None, &[nowhere]).is_ok());
}

/// A signature header among the lines that git reads: git and gix see no parent, the signed part
/// has one.
#[test]
fn a_commit_that_git_reads_with_other_parents_is_malformed() {
    let git = Git::new();
    let parent = commit(&git, &[], 2 * HOUR, Signed::Not);
    let spec = CommitSpec {
        parents: vec![parent.clone()],
        ..CommitSpec::new(&git.empty_tree())
    };
    let payload = spec.payload();
    let signed = bound_commit(&payload);
    let signed = String::from_utf8(signed).unwrap();
    let start = signed.find("gpgsig").unwrap();
    let end = signed.find("\n\n").unwrap() + 1;
    let (header, payload) = (&signed[start..end], String::from_utf8(payload).unwrap());
    for before in ["tree ", "parent ", "author ", "committer "] {
        let place = payload.find(before).unwrap();
        let raw = format!("{}{header}{}", &payload[..place], &payload[place..]);
        let id = git.write_object_unchecked("commit", raw.as_bytes());
        let outcome = verify_spec(&git, &id);
        assert_eq!(codes(&outcome), [Some(Code::ObjectMalformed)], "{before}");
    }
    let good = git.write_commit_object(signed.as_bytes());
    assert_eq!(codes(&verify_spec(&git, &good)), [None]);
}

#[test]
fn a_damaged_object_is_undecided() {
    let git = Git::new();
    let line = line(&git);
    let path = loose(&git, &line[3]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"no zlib stream").unwrap();
    let outcome = verify_spec(&git, &line[3]);
    assert_eq!(
        outcome.objects()[0].judgement().verdict(),
        Verdict::Undecided(Code::ObjectMissing)
    );
}

#[test]
fn an_object_under_the_name_of_another_is_malformed() {
    let git = Git::new();
    let line = line(&git);
    let path = loose(&git, &line[3]);
    fs::remove_file(&path).unwrap();
    fs::copy(loose(&git, &line[2]), &path).unwrap();
    let outcome = verify_spec(&git, &line[3]);
    assert_eq!(codes(&outcome), [Some(Code::ObjectMalformed)]);
}

#[test]
fn what_a_range_leaves_out_hides_nothing_by_lying() {
    let git = Git::new();
    let old = commit(&git, &[], 4 * HOUR, Signed::Bound);
    let good = commit(&git, &[&old], 3 * HOUR, Signed::Bound);
    let evil = commit(&git, &[&good], 2 * HOUR, Signed::Not);
    let tip = commit(&git, &[&evil], HOUR, Signed::Bound);
    let lying = commit(&git, &[&evil], HOUR, Signed::Not);
    let range = format!("{good}..{tip}");
    let found = [None, Some(Code::Unsigned)];
    assert_eq!(codes(&verify_spec(&git, &range)), found);
    let path = loose(&git, &old);
    fs::remove_file(&path).unwrap();
    fs::copy(loose(&git, &lying), &path).unwrap();
    assert_eq!(codes(&verify_spec(&git, &range)), found);
}

#[test]
fn no_step_of_a_revision_goes_by_way_of_an_object_under_the_name_of_another() {
    let git = Git::new();
    let [root, middle, tip] = numbered(&git);
    let other = commit(&git, &[&root, &tip], HOUR, Signed::Not);
    let path = loose(&git, &middle);
    fs::remove_file(&path).unwrap();
    fs::copy(loose(&git, &other), &path).unwrap();
    for text in ["main~2", "main^^2", "main~2..main"] {
        let error = open(&git).select(text).unwrap_err().to_string();
        assert!(error.contains(&middle), "{text}: {error}");
    }
    assert!(open(&git).select("main~1").is_ok());
}

#[test]
fn replace_refs_replace_nothing() {
    let git = Git::new();
    let good = commit(&git, &[], HOUR, Signed::Bound);
    let bad = commit(&git, &[], HOUR, Signed::Not);
    branch(&git, "main", &bad);
    assert!(!open(&git).has_replacements());
    git.git_ok(&["replace", &bad, &good]);
    assert!(open(&git).has_replacements());
    assert_eq!(codes(&verify_all(&git)), [Some(Code::Unsigned)]);
}

/// Three commits in a line that nobody signed, each with its number for a message.
fn numbered(git: &Git) -> [String; 3] {
    let tree = git.empty_tree();
    let root = git.git_ok(&["commit-tree", "-m", "one", &tree]);
    let middle = git.git_ok(&["commit-tree", "-m", "two", "-p", &root, &tree]);
    let tip = git.git_ok(&["commit-tree", "-m", "three", "-p", &middle, &tree]);
    branch(git, "main", &tip);
    [root, middle, tip]
}

/// Checks what is found from the tip of [`numbered`], by way of its parents.
fn assert_resolved(git: &Git, [root, middle, tip]: &[String; 3]) {
    for (text, expected) in [
        ("main~1", &[middle][..]),
        ("main^", &[middle]),
        ("main^1", &[middle]),
        ("main~2", &[root]),
        ("main^^{commit}", &[middle]),
        ("main^{/two}", &[middle]),
        ("main^@", &[middle, root]),
        ("main^!", &[tip]),
        (&format!("{root}..main~1"), &[middle]),
        (&format!("{root}...main"), &[tip, middle]),
        (&format!("{tip}~1"), &[middle]),
        (&format!("{}~1", &tip[..12]), &[middle]),
    ] {
        let outcome = verify_spec(git, text);
        assert_eq!(ids(&outcome).iter().collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn no_revision_is_resolved_through_a_replacement() {
    let git = Git::new();
    let commits = numbered(&git);
    let [root, middle, tip] = &commits;
    assert_resolved(&git, &commits);
    git.git_ok(&["replace", "--graft", tip, root]);
    assert_resolved(&git, &commits);
    git.git_ok(&["tag", "-m", "x", "v1", middle]);
    git.git_ok(&["tag", "-m", "x", "v2", root]);
    git.git_ok(&["replace", "refs/tags/v1", "refs/tags/v2"]);
    for text in ["v1^{}", "v1^{commit}", "v1~0"] {
        assert_eq!(ids(&verify_spec(&git, text)), [middle.as_str()], "{text}");
    }
}

/// git knows namespaces by its environment alone.
#[test]
fn no_setting_leads_refs_elsewhere() {
    let git = Git::new();
    let line = line(&git);
    let name = "refs/namespaces/x/refs/heads/main";
    git.git_ok(&["update-ref", name, &line[0]]);
    git.git_ok(&["config", "gitoxide.core.refsNamespace", "x"]);
    assert_eq!(ids(&verify_spec(&git, "main")), [line[3].as_str()]);
    assert_eq!(ids(&verify_all(&git)).len(), line.len());
}

#[test]
fn no_revision_is_resolved_by_a_commit_graph() {
    let git = Git::new();
    let commits = numbered(&git);
    git.git_ok(&["commit-graph", "write", "--reachable"]);
    let path = git.path().join(".git/objects/info/commit-graph");
    let mut graph = fs::read(&path).unwrap();
    // Behind 8 bytes, a name and an offset for each chunk; each commit has its tree and then the places
    // of its parents among the sorted ids.
    let table = graph[8..]
        .chunks(12)
        .find(|entry| entry.starts_with(b"CDAT"));
    let data = u64::from_be_bytes(table.unwrap()[4..].try_into().unwrap());
    let mut sorted = commits.to_vec();
    sorted.sort();
    let place = |id: &String| sorted.iter().position(|it| it == id).unwrap();
    let parent = usize::try_from(data).unwrap() + 36 * place(&commits[2]) + 20;
    let forged = u32::try_from(place(&commits[0])).unwrap();
    graph[parent..parent + 4].copy_from_slice(&forged.to_be_bytes());
    fs::remove_file(&path).unwrap();
    fs::write(&path, graph).unwrap();
    assert_resolved(&git, &commits);
}

#[test]
fn grafts_give_nobody_other_parents() {
    let git = Git::new();
    let line = line(&git);
    let whole = ids(&verify_all(&git));
    assert!(!open(&git).has_grafts());
    // The tip without parents.
    fs::write(
        git.path().join(".git/info/grafts"),
        format!("{}\n", line[3]),
    )
    .unwrap();
    assert!(open(&git).has_grafts());
    assert_eq!(ids(&verify_all(&git)), whole);
}

#[test]
fn a_commit_graph_that_lies_is_not_asked() {
    let git = Git::new();
    let line = line(&git);
    git.git_ok(&["commit-graph", "write", "--reachable"]);
    let graph = git.path().join(".git/objects/info/commit-graph");
    let mut bytes = fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    fs::remove_file(&graph).unwrap();
    fs::write(&graph, bytes).unwrap();
    assert_eq!(ids(&verify_all(&git)).len(), line.len());
}

#[test]
fn what_tools_keep_for_themselves_is_not_part_of_all() {
    let git = Git::new();
    let line = line(&git);
    let note = commit(&git, &[], HOUR, Signed::Not);
    git.git_ok(&["update-ref", "refs/notes/commits", &note]);
    assert_eq!(ids(&verify_all(&git)).len(), line.len());
    git.git_ok(&["update-ref", "refs/remotes/origin/main", &note]);
    assert_eq!(ids(&verify_all(&git)).len(), line.len() + 1);
}

#[test]
fn long_delta_chains_are_read() {
    let git = Git::new();
    let mut parent = commit(&git, &[], 20 * HOUR, Signed::Bound);
    for step in 1..120 {
        parent = commit(&git, &[&parent], 20 * HOUR - step * 60, Signed::Bound);
    }
    branch(&git, "main", &parent);
    git.git_ok(&["repack", "-adfq", "--depth=50", "--window=50"]);
    assert_eq!(verify_all(&git).summary().accepted, 120);
}

#[test]
fn packed_objects_are_read() {
    let git = Git::new();
    line(&git);
    git.git_ok(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(verify_all(&git).summary().accepted, 4);
}

#[test]
fn what_is_packed_meanwhile_is_found_again() {
    let git = Git::new();
    let ids = line(&git);
    let ids: Vec<_> = ids
        .iter()
        .map(|id| ObjectId::from_hex(id.as_bytes()).unwrap())
        .collect();
    let repository = open(&git);
    repository.read(ids[0]).unwrap();
    git.git_ok(&["repack", "-q", "-a", "-d"]);
    repository.read(ids[1]).unwrap();
    git.git_ok(&["commit", "-q", "--allow-empty", "-m", "more"]);
    git.git_ok(&["repack", "-q", "-a", "-d"]);
    repository.read(ids[2]).unwrap();
    assert!(repository.select(&ids[3].to_string()).is_ok());
}

#[test]
fn many_threads_give_one_order() {
    let git = Git::new();
    let mut parent = commit(&git, &[], 20 * HOUR, Signed::Not);
    for step in 1..200 {
        parent = commit(&git, &[&parent], 20 * HOUR - step, Signed::Not);
    }
    branch(&git, "main", &parent);
    let expected = git.git_ok(&["rev-list", "main"]);
    for _ in 0..3 {
        assert_eq!(ids(&verify_all(&git)), expected.lines().collect::<Vec<_>>());
    }
}

const DECLARED: Option<TimeBasis> = Some(TimeBasis::Declared);
const ORDERED: Option<TimeBasis> = Some(TimeBasis::DagOrdered);
const BOUND: Option<TimeBasis> = Some(TimeBasis::IssuanceBound);

#[test]
fn a_date_that_fits_its_parents_and_children_is_ordered() {
    let git = Git::new();
    let root = commit(&git, &[], 5 * HOUR, Signed::Bound);
    let middle = commit(&git, &[&root], 4 * HOUR, Signed::BySession);
    let tip = commit(&git, &[&middle], 3 * HOUR, Signed::Bound);
    branch(&git, "main", &tip);
    assert_eq!(bases(&verify_all(&git)), [BOUND, ORDERED, BOUND]);
    let strict = verify(&git, &floor("dag-ordered"), |repository| {
        repository.select_all().unwrap()
    });
    assert_eq!(strict.summary().accepted, 3);
}

#[test]
fn a_commit_older_than_its_parent_is_only_declared() {
    let git = Git::new();
    let root = commit(&git, &[], 4 * HOUR, Signed::Bound);
    let near = commit(&git, &[&root], 4 * HOUR + 60, Signed::BySession);
    let back = commit(&git, &[&root], 4 * HOUR + 61, Signed::BySession);
    branch(&git, "near", &near);
    branch(&git, "back", &back);
    assert_eq!(bases(&verify_spec(&git, "near")), [ORDERED]);
    assert_eq!(bases(&verify_spec(&git, "back")), [DECLARED]);
    let strict = verify(&git, &floor("dag-ordered"), |repository| {
        repository.select("back").unwrap()
    });
    assert_eq!(codes(&strict), [Some(Code::TimeBasisTooWeak)]);
}

#[test]
fn a_commit_younger_than_a_strong_descendant_is_only_declared() {
    let git = Git::new();
    let root = commit(&git, &[], 9 * HOUR, Signed::BySession);
    let late = commit(&git, &[&root], 3 * HOUR, Signed::BySession);
    let between = commit(&git, &[&late], 3 * HOUR, Signed::Not);
    let strong = commit(&git, &[&between], 6 * HOUR, Signed::Bound);
    branch(&git, "main", &strong);
    let outcome = verify_all(&git);
    let basis = |id: &str| basis_of(&outcome, id);
    assert_eq!(basis(&late), DECLARED);
    assert_eq!(basis(&root), ORDERED);
    assert_eq!(basis(&strong), BOUND);
}

#[test]
fn a_commit_older_than_a_strong_ancestor_is_only_declared() {
    let git = Git::new();
    // Its date is old, its certificate is not: the strong time is the later one.
    let spec = CommitSpec {
        at: NOW.plus(-9 * HOUR),
        ..CommitSpec::new(&git.empty_tree())
    };
    let bound = LeafSpec {
        not_before: NOW.plus(-3 * HOUR),
        ..LeafSpec::bound_to(&spec.payload())
    };
    let raw = authority()
        .leaf(&bound)
        .sign_commit(&spec.payload(), NOW.plus(-3 * HOUR));
    let strong = git.write_commit_object(&raw);
    let child = commit(&git, &[&strong], 8 * HOUR, Signed::BySession);
    let grandchild = commit(&git, &[&child], 7 * HOUR, Signed::BySession);
    let late = commit(&git, &[&grandchild], 2 * HOUR, Signed::BySession);
    branch(&git, "main", &late);
    let outcome = verify_all(&git);
    assert_eq!(basis_of(&outcome, &strong), BOUND);
    for back in [child, grandchild] {
        assert_eq!(basis_of(&outcome, &back), DECLARED);
    }
    assert_eq!(basis_of(&outcome, &late), ORDERED);
}

/// A range sees its boundary as the whole history does.
#[test]
fn a_commit_older_than_the_strong_boundary_of_its_range_is_only_declared() {
    let git = Git::new();
    let strong = commit(&git, &[], 2 * HOUR, Signed::Bound);
    let child = commit(&git, &[&strong], 8 * HOUR, Signed::BySession);
    let grandchild = commit(&git, &[&child], 8 * HOUR, Signed::BySession);
    branch(&git, "main", &grandchild);
    let range = format!("{strong}..main");
    for outcome in [verify_all(&git), verify_spec(&git, &range)] {
        assert_eq!(basis_of(&outcome, &child), DECLARED);
        assert_eq!(basis_of(&outcome, &grandchild), DECLARED);
    }
    // Of what lies behind the parents of what is asked about, nobody hears.
    assert_eq!(bases(&verify_spec(&git, "main")), [ORDERED]);
}

#[test]
fn cousins_do_not_disturb_each_other() {
    let git = Git::new();
    let root = commit(&git, &[], 9 * HOUR, Signed::Bound);
    let cousin = commit(&git, &[&root], 3 * HOUR, Signed::BySession);
    let strong = commit(&git, &[&root], 6 * HOUR, Signed::Bound);
    branch(&git, "one", &cousin);
    branch(&git, "two", &strong);
    assert_eq!(bases(&verify_all(&git)), [ORDERED, BOUND, BOUND]);
}

#[test]
fn a_descendant_that_nobody_vouches_for_moves_nothing() {
    let git = Git::new();
    let late = commit(&git, &[], 3 * HOUR, Signed::BySession);
    let at = NOW.plus(-6 * HOUR);
    let payload = CommitSpec {
        parents: vec![late.clone()],
        at,
        ..CommitSpec::new(&git.empty_tree())
    }
    .payload();
    let stranger = notme_testkit::cast::TestAuthority::new(9).leaf(&LeafSpec {
        not_before: at,
        ..LeafSpec::bound_to(&payload)
    });
    let tip = git.write_commit_object(&stranger.sign_commit(&payload, at));
    branch(&git, "main", &tip);
    let outcome = verify_all(&git);
    assert_eq!(basis_of(&outcome, &late), ORDERED);
}

#[test]
fn at_the_end_of_a_shallow_clone_nothing_is_ordered() {
    let git = Git::new();
    let root = commit(&git, &[], 5 * HOUR, Signed::Bound);
    let middle = commit(&git, &[&root], 4 * HOUR, Signed::BySession);
    let tip = commit(&git, &[&middle], 3 * HOUR, Signed::BySession);
    branch(&git, "main", &tip);
    let clone = git.home().join("clone");
    let url = format!("file://{}", git.path().display());
    git.git_ok(&[
        "clone",
        "--quiet",
        "--no-checkout",
        "--depth=2",
        &url,
        clone.to_str().unwrap(),
    ]);
    let repository = Repository::discover(&clone).unwrap();
    let policy = floor("declared");
    let judge = Judge::new(&policy, &trust(), NOW);
    let outcome = verify_range(&repository, &repository.select_all().unwrap(), &judge).unwrap();
    assert_eq!(bases(&outcome), [ORDERED, DECLARED]);
}

#[test]
fn a_damaged_shallow_list_is_an_error() {
    let git = Git::new();
    line(&git);
    fs::write(git.path().join(".git/shallow"), "nonsense\n").unwrap();
    assert!(matches!(
        open(&git).shallow_boundary(),
        Err(RepositoryError::Shallow(_))
    ));
}

#[test]
fn a_shallow_list_that_is_a_pipe_is_an_error_and_no_wait() {
    let git = Git::new();
    line(&git);
    mkfifoat(CWD, git.path().join(".git/shallow"), Mode::RWXU).unwrap();
    let repository = open(&git);
    assert!(matches!(
        repository.shallow_boundary(),
        Err(RepositoryError::Shallow(_))
    ));
}

#[test]
fn no_repository_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = Repository::discover(directory.path()).unwrap_err();
    assert!(matches!(error, RepositoryError::NotFound(_)), "{error}");
}

#[test]
fn dates_before_1970_and_beyond_reason_do_not_stop_the_walk() {
    let git = Git::new();
    let odd = |time: &str| {
        let tree = git.empty_tree();
        let person = format!("A <a@example.invalid> {time} +0000");
        let raw = format!("tree {tree}\nauthor {person}\ncommitter {person}\n\nx\n");
        git.write_object_unchecked("commit", raw.as_bytes())
    };
    for (number, time) in ["0", "99999999999999999999", "-5", "x"].iter().enumerate() {
        let parent = odd(time);
        let tip = commit(&git, &[&parent], HOUR, Signed::Bound);
        branch(&git, &format!("b{number}"), &tip);
    }
    let outcome = verify_all(&git);
    assert_eq!(outcome.summary().accepted, 4);
    assert_eq!(outcome.summary().objects, 8);
}

/// A commit with a message of so many bytes, which compress to next to nothing.
fn with_message(git: &Git, length: usize, parent: &str) -> String {
    let spec = CommitSpec {
        parents: vec![parent.to_owned()],
        message: "x".repeat(length),
        ..CommitSpec::new(&git.empty_tree())
    };
    git.write_commit_object(&bound_commit(&spec.payload()))
}

#[test]
fn a_gigantic_message_is_refused_before_it_is_read() {
    let git = Git::new();
    let root = commit(&git, &[], HOUR, Signed::Bound);
    let long = with_message(&git, 15 << 20, &root);
    let gigantic = with_message(&git, 100 << 20, &long);
    branch(&git, "main", &gigantic);
    let outcome = verify_all(&git);
    assert_eq!(codes(&outcome), [Some(Code::ObjectTooLarge)]);
    branch(&git, "main", &long);
    assert_eq!(codes(&verify_all(&git)), [None, None]);
    // Nor does an exception hide what lies behind it.
    let policy = Policy::parse(&format!(
        "[[authority]]\nname = \"local\"\n[[allow]]\nidentity = \"*\"\n[[exception]]\nobject = \"{gigantic}\"\nreason = \"x\"\nuntil = \"{}\"\n",
        NOW.plus(HOUR)
    ))
    .unwrap();
    branch(&git, "main", &gigantic);
    let outcome = verify(&git, &policy, |repository| repository.select_all().unwrap());
    assert_eq!(codes(&outcome), [Some(Code::ObjectTooLarge)]);
}

#[test]
fn a_merge_of_ten_thousand_is_judged_with_all_its_parents() {
    let git = Git::new();
    let who = "committer A <a@b.invalid>";
    let mut stream = String::new();
    let mut merge = format!("commit refs/heads/main\n{who} 9 +0000\ndata 1\nx\n");
    for mark in 1..=10_000 {
        // Without a word from where, each is a beginning of its own.
        stream.push_str(&format!(
            "reset refs/heads/b\ncommit refs/heads/b\nmark :{mark}\n{who} 2 +0000\ndata 6\n{mark:06}\n"
        ));
        let word = if mark == 1 { "from" } else { "merge" };
        merge.push_str(&format!("{word} :{mark}\n"));
    }
    stream.push_str(&merge);
    git.import(&stream);
    let outcome = verify_spec(&git, "main^@");
    assert_eq!(outcome.objects().len(), 10_000);
    assert!(
        codes(&outcome)
            .iter()
            .all(|code| *code == Some(Code::Unsigned))
    );
    assert_eq!(verify_all(&git).objects().len(), 10_001);
}

#[test]
fn a_hundred_thousand_commits_deep_and_tags_of_tags_need_no_stack() {
    let git = Git::new();
    let mut stream = String::new();
    for number in 0..100_000 {
        stream.push_str(&format!(
            "commit refs/heads/main\ncommitter A <a@b.invalid> {number} +0000\ndata 1\nx\n"
        ));
    }
    git.import(&stream);
    let mut target = git.git_ok(&["rev-parse", "main"]);
    let mut kind = "commit";
    for number in 0..200 {
        let tag = format!(
            "object {target}\ntype {kind}\ntag t{number}\ntagger A <a@b.invalid> 1 +0000\n\nx\n"
        );
        target = git.write_object_unchecked("tag", tag.as_bytes());
        kind = "tag";
    }
    git.git_ok(&["update-ref", "refs/tags/nested", &target]);
    // The default stack of a thread is 2 MiB; this is far less than a frame for each commit.
    let judged = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || {
            let whole = verify_spec(&git, "main^@").objects().len();
            let tags = verify(&git, &floor("declared"), |it| it.select_tags().unwrap());
            (whole, codes(&tags))
        });
    let (whole, tags) = judged.unwrap().join().unwrap();
    assert_eq!(whole, 99_999);
    assert_eq!(tags, [Some(Code::Unsigned); 200]);
}
