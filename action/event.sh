#!/bin/sh
# Prints what a run of GitHub Actions, Forgejo Actions or Gitea Actions is about, as shell
# assignments: the commits before and after, the ref that they are for, whether they are merely
# proposed, the object that a tag was pushed as, the branch that they come to or would, the default
# branch, and a commit of that where one is known.
# Needs jq.
set -eu

refuse() {
  printf 'error: event-refused: %s\n' "$1" >&2
  exit 2
}

# A commit and nothing else: what comes from outside becomes no shell.
commit() {
  jq -er "$1 // \"\" | tostring | select(test(\"^([0-9a-f]{40}|[0-9a-f]{64})\$\"))" \
    "$GITHUB_EVENT_PATH" || refuse "\`$1\` of the event is no commit"
}

# A name: without one, a change would be taken for one to the default branch.
name() {
  jq -er "$1 // \"\" | tostring | select(. != \"\")" "$GITHUB_EVENT_PATH" ||
    refuse "\`$1\` of the event is no branch"
}

default=$(jq -r '.repository.default_branch // ""' "$GITHUB_EVENT_PATH")
# Where the event says for which ref commits are, nothing else does.
ref=${NOTME_REF:-}
tag=''
branch=''
proposed=''
from=''
case "$GITHUB_EVENT_NAME" in
  push)
    base=$(commit .before)
    head=$(commit .after)
    case "${GITHUB_REF:-}" in
      refs/heads/*) ref=$GITHUB_REF branch=${GITHUB_REF#refs/heads/} ;;
      refs/tags/*)
        # The tag itself is judged, and not only what it points to; a deleted one is gone.
        case "$head" in
          *[!0]*) base='' tag=$head head=$GITHUB_REF ;;
        esac
        ;;
    esac
    ;;
  pull_request)
    # What is proposed is on no ref yet of those that rules are about.
    proposed=1
    base=$(commit .pull_request.base.sha)
    head=$(commit .pull_request.head.sha)
    branch=$(name .pull_request.base.ref)
    [ "$branch" != "$default" ] || from=$base
    ;;
  merge_group)
    base=$(commit .merge_group.base_sha)
    head=$(commit .merge_group.head_sha)
    branch=$(name .merge_group.base_ref)
    ref=$branch
    branch=${branch#refs/heads/}
    ;;
  pull_request_target)
    refuse 'pull_request_target runs strangers'"'"' code with your rights: use pull_request'
    ;;
  *)
    refuse "nothing is known to verify for \`$GITHUB_EVENT_NAME\`; use push, pull_request or merge_group"
    ;;
esac
jq -rn --arg base "$base" --arg head "$head" --arg ref "$ref" --arg default "$default" \
  --arg from "$from" --arg tag "$tag" --arg branch "${NOTME_BRANCH:-$branch}" --arg proposed "$proposed" \
  '@sh "NOTME_BASE=\($base) NOTME_HEAD=\($head) NOTME_TAG=\($tag) NOTME_BRANCH=\($branch) NOTME_REF=\($ref) NOTME_PROPOSED=\($proposed) NOTME_DEFAULT_BRANCH=\($default) NOTME_TRUST_FROM=\($from)"'
