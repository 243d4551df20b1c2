#!/bin/sh
# Judges the commits between two, in a CI job: without token, API or network. Needs git, jq, tar
# and notme. docs/ci/README.md has the whole story.
#
#   NOTME_BASE            the commit before them; empty or zeros for a new branch
#   NOTME_HEAD            the last of them, or refs/tags/<tag>; unset, the event file says both
#   NOTME_TAG             the object that the tag of NOTME_HEAD was pushed as (what the clone has)
#   NOTME_BRANCH          the branch that was pushed to; another than the default one is judged from
#                         there, whatever NOTME_BASE is (none)
#   NOTME_REF             the full name of the ref that they are for, for rules about refs (none)
#   NOTME_DEFAULT_BRANCH  what new branches begin at and trust is taken from, as origin has it (main)
#   NOTME_TRUST           the trust store: a directory of the repository, as it was before the
#                         change, or an absolute path (.notme/trust)
#   NOTME_POLICY          a policy file, likewise (none)
#   NOTME_TRUST_FROM      a commit that is known to be on the default branch, where that was not
#                         fetched (the event file says it of a pull request into that branch)
#   NOTME_REPORTS         a directory for the reports (notme-reports)
#   NOTME_PROGRAM         the program (notme)
set -eu
umask 077
# What is judged is what was signed: notme follows neither, and nor may lists and ranges.
export GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none

program=${NOTME_PROGRAM:-notme}
reports=${NOTME_REPORTS:-notme-reports}

# On GitHub, Forgejo and Gitea a line of this form is shown beside the run.
tell() { # LEVEL CODE WORDS
  case "${GITHUB_ACTIONS:-}" in
    true) printf '::%s title=notme %s::%s\n' "$1" "$2" "$3" ;;
    *) printf '%s: %s: %s\n' "$1" "$2" "$3" ;;
  esac
}

refuse() { # CODE WORDS
  tell error "$1" "$2"
  exit 3
}

is_commit() { git rev-parse --verify --quiet "$1^{commit}" >/dev/null; }

for tool in git jq tar "$program"; do
  command -v "$tool" >/dev/null || refuse program-missing "there is no $tool"
done
if [ -z "${NOTME_HEAD+set}" ]; then
  range=$("$(dirname "$0")/event.sh") || exit
  eval "$range"
fi
head=$NOTME_HEAD
case "$head" in
  *[!0]*) ;;
  # A variable that the CI system does not have is no deleted branch.
  '') refuse object-missing 'NOTME_HEAD is empty' ;;
  *)
    tell notice nothing-to-judge 'the branch or tag is gone'
    exit 0
    ;;
esac
case "${NOTME_BASE:-}" in
  *[!0]*) base=$NOTME_BASE ;;
  *) base='' ;;
esac
shallow=$(git rev-parse --is-shallow-repository) ||
  refuse repository-unusable 'git does not work here; notme doctor says why'
# actions/checkout@v4 leaves the commit in the place of an annotated tag.
is_other() { [ "$(git rev-parse --verify --quiet "$1")" != "$NOTME_TAG" ]; }
case "${NOTME_TAG:+$head}" in
  refs/tags/*)
    if is_other "$head" && is_other "$head^{}"; then
      git update-ref "$head" "$NOTME_TAG" 2>/dev/null ||
        refuse tag-replaced "$head was pushed as $NOTME_TAG, which is not in this clone: check out all tags (fetch-depth: 0)"
    fi
    ;;
esac
for commit in "$head" $base; do
  [ "$shallow" = false ] || is_commit "$commit" ||
    refuse clone-shallow "the clone ends before $commit: check out the whole history (fetch-depth: 0)"
done
is_commit "$head" || refuse object-missing "$head is not in this clone"

# Who a change is judged by must not be part of it, nor of an unjudged branch: it comes from the
# default branch, or, for what is on that already, from the commit before.
default=${NOTME_DEFAULT_BRANCH:-main}
origin=refs/remotes/origin/$default
reference=${NOTME_REF:-}
is_on_default() { is_commit "$origin" && git merge-base --is-ancestor "$head" "$origin"; }
# Tells whether that is another branch, or a tag, which brings nothing of the default branch.
is_elsewhere() {
  case "$head $reference" in
    refs/tags/*) ;;
    "$head " | "$head refs/heads/$default") false ;;
  esac
}
gone=''
if [ -n "$base" ] && ! is_commit "$base"; then
  gone=$base
  base=''
fi
# What is its own base says nothing of what was before it.
[ -z "$base" ] || [ "$(git rev-parse "$base^{commit}")" != "$(git rev-parse "$head^{commit}")" ] || base=''
is_all=false
if is_commit "$origin" && ! is_on_default; then
  before=$origin
  # What pushes before brought may have been refused.
  [ "${NOTME_BRANCH:-$default}" = "$default" ] || base=''
  base=${base:-$(git merge-base "$origin" "$head" || printf '%s' "$origin")}
  [ -z "$gone" ] ||
    tell notice base-gone "$gone is gone, as after a forced push: judging what $origin has not"
elif [ -n "$base" ]; then
  before=$base
elif [ -n "$gone" ]; then
  refuse base-gone "$gone is gone, as after a forced push, and nothing else says what was before"
elif is_commit "$origin" && is_elsewhere; then
  before=$origin
else
  before=$head
  is_all=true
fi
case "$is_all $head" in
  *' refs/tags/'*) range=$head ;;
  true*)
    [ "$shallow" = false ] ||
      refuse clone-shallow 'all of it is to be judged: check out the whole history (fetch-depth: 0)'
    range=-
    ;;
  *) range=${base:+$base..}$head ;;
esac
# What else is here may be anybody's.
is_commit "$origin" || before=${NOTME_TRUST_FROM:-}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
from_before() { # PATH; leaves it in $found
  case "$1" in
    /*) found=$1 ;;
    *)
      [ -n "$before" ] ||
        refuse default-branch-missing "$origin, which \`$1\` is taken from, is not in this clone: name the default branch in NOTME_DEFAULT_BRANCH, and fetch it"
      [ "$before" != "$head" ] ||
        tell notice trust-from-head "nothing is known from before it: all of it is judged, by the \`$1\` that it brings"
      git archive --output "$work/archive.tar" "$before" -- "$1" 2>/dev/null ||
        refuse trust-missing "\`$1\` is not in $before, which is what the change is judged by"
      tar -xf "$work/archive.tar" -C "$work"
      # git gives its group the right to write, and root's tar believes it.
      chmod -R go-w "$work"
      found=$work/$1
      ;;
  esac
}
from_before "${NOTME_TRUST:-.notme/trust}"
set -- --trust "$found"
if [ -n "${NOTME_POLICY:-}" ]; then
  from_before "$NOTME_POLICY"
  set -- "$@" --policy "$found"
fi
[ -z "$reference" ] || set -- "$@" --ref "$reference"

git diff --raw --ignore-submodules=none "${base:-$head}" "$head" | awk -F '\t' '$1 ~ /^:[0-7]+ 160000 / { print $2 }' |
  while read -r path; do
    tell warning submodule-not-judged "\`$path\` now points elsewhere; verify that repository by itself"
  done

: >"$work/commits"
[ "$range" != - ] || git rev-list "$head" >"$work/commits" ||
  refuse object-missing "something that $head goes on from is not in this clone"
status=0
"$program" verify --format json "$@" "$range" <"$work/commits" >"$work/notme.json" || status=$?
if [ ! -s "$work/notme.json" ]; then
  [ "$status" -ne 0 ] || status=3
  exit "$status"
fi
[ "$(jq '.shallow | length' "$work/notme.json")" = 0 ] ||
  refuse clone-shallow 'the clone ends inside of what is to be judged: check out the whole history (fetch-depth: 0)'

# Each report judges anew, by the same files.
report() { # FORMAT ARGUMENTS
  format=$1
  shift
  "$program" verify --format "$format" "$@" "$range" <"$work/commits" || true
}
report sarif "$@" >"$work/notme.sarif"
report junit "$@" >"$work/notme.xml"
report markdown "$@" >"$work/notme.md"
report gitlab "$@" >"$work/notme-code-quality.json"
case "${GITHUB_ACTIONS:-}" in
  true) report github "$@" ;;
  *) report text "$@" ;;
esac
# The checkout is a stranger's: moved, not written, they go through no link that it has there.
[ ! -L "$reports" ] || refuse reports-linked "$reports is a link"
mkdir -p "$reports"
mv -f "$work"/notme* "$reports"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$reports/notme.md" >>"$GITHUB_STEP_SUMMARY"
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'sarif=%s\n' "$reports/notme.sarif" >>"$GITHUB_OUTPUT"
exit "$status"
