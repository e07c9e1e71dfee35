#!/bin/sh
# Makes everything that Antiphon needs: a virtual environment with pinned packages, and Debian's
# libraries. Called by `make setup`, `make serve` and `make test`; does nothing when all is there.
#
#   sh scripts/setup.sh serve    what the server needs
#   sh scripts/setup.sh check    that, and the tools of `make check`
#   sh scripts/setup.sh test     that, and a browser for the end-to-end tests
#
#   PYTHON=/path/to/python3      use this Python (3.11 or newer)
set -eu
cd "$(dirname "$0")/.."
want=${1:-serve}
case $want in
    serve) packages=core ;;
    check | test) packages=dev ;;
    *)
        echo "setup: unknown set '$want'; use serve, check or test" >&2
        exit 2
        ;;
esac
venv_python=.venv/bin/python

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}

# ---- what is there -------------------------------------------------------------------------------

# The libraries of the voice. Asked for by loading, so that it is right on any distribution.
has_flite() {
    "$1" -c 'import ctypes; [ctypes.CDLL(f"{n}.so.1") for n in ("libflite", "libflite_cmu_us_slt")]' \
        2>/dev/null
}

# Playwright's driver is a Node that needs it; minimal systems do not have it.
has_atomic() {
    "$1" -c 'import ctypes; ctypes.CDLL("libatomic.so.1")' 2>/dev/null
}

has_browser() {
    for browser in chromium chromium-browser google-chrome; do
        if command -v "$browser" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

is_usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Pythons for which every pinned package has a built wheel come first. A name can be on the path
# and yet not run (pyenv's shims), hence the trial.
find_python() {
    for python in ${PYTHON:+"$PYTHON"} python3.11 python3.13 python3.12 python3 python3.14; do
        if command -v "$python" >/dev/null 2>&1 && is_usable "$python"; then
            echo "$python"
            return 0
        fi
        if [ -n "${PYTHON:-}" ]; then return 1; fi
    done
    return 1
}

# What the installed packages were made from. The directory is part of it because the scripts of a
# virtual environment name it, so that a moved or copied checkout is set up again.
fingerprint() {
    {
        pwd
        "$venv_python" -c 'import sys; print(sys.version, sys.base_prefix)'
        cat pyproject.toml constraints.txt scripts/setup.sh
    } | cksum
}

is_installed() {
    [ -x "$venv_python" ] || return 1
    now=$(fingerprint 2>/dev/null) || return 1
    for stamp in .setup/dev ".setup/$packages"; do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then return 0; fi
    done
    return 1
}

# ---- Debian's packages ---------------------------------------------------------------------------

# Installs by apt as root or by sudo. Returns 1, having said what to do, where that is impossible.
# sudo may ask for a password only where someone can type it.
install_debian() {
    command="apt-get install -y --no-install-recommends $*"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "missing: $* (Debian's names). Install them with your system's package manager."
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        become=""
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        become="sudo"
    else
        say "missing Debian packages: $*"
        say "no root here; run:  sudo $command"
        return 1
    fi
    case " $* " in
        *" coturn "*)
            # The package would start a server for the whole network; the tests start their own.
            if [ -d /run/systemd/system ]; then
                $become systemctl mask -q coturn.service &&
                    say "coturn is kept from starting; undo: systemctl unmask coturn"
            fi
            ;;
    esac
    say "installing Debian packages: $*"
    options="-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    log=.setup/apt.log
    # shellcheck disable=SC2086  # these are lists of words
    if $become apt-get update -q $options >"$log" 2>&1 &&
        $become env DEBIAN_FRONTEND=noninteractive $command -q $options >>"$log" 2>&1; then
        return 0
    fi
    tail -n 15 "$log" >&2
    say "apt-get failed (the whole log: $log); afterwards run:  ${become:+sudo }$command"
    return 1
}

# ---- the virtual environment ---------------------------------------------------------------------

make_venv() {
    if ! python=$(find_python); then
        if [ -n "${PYTHON:-}" ]; then fail "PYTHON=$PYTHON is not a Python 3.11 or newer."; fi
        say "no Python 3.11 or newer found"
        install_debian python3 python3-venv || fail "install Python 3.11 or newer, then run again."
        python=$(find_python) ||
            fail "this system's Python is too old: install Python 3.11 or newer, then run again."
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_debian "python$version-venv" || fail "Python's venv module is missing."
    fi
    say "making .venv with Python $version ($(command -v "$python"))"
    "$python" -m venv --clear .venv
}

# A run that was cut short may leave half a package, which pip takes for a whole one: the file
# `.setup/unfinished` stands while packages are installed, and then .venv is made anew.
install_packages() {
    if [ -f .setup/unfinished ]; then
        say "the last setup did not finish; starting again"
        rm -rf .venv
    fi
    touch .setup/unfinished
    if ! [ -x "$venv_python" ] || ! is_usable "$venv_python" ||
        ! "$venv_python" -m pip --version >/dev/null 2>&1 ||
        ! head -n 3 .venv/bin/pip 2>/dev/null | grep -qF "$(pwd)/"; then
        rm -f .setup/core .setup/dev
        make_venv
    fi
    say "installing pinned Python packages ($packages); the first time takes a minute or three"
    "$venv_python" - "$packages" >.setup/requirements.txt <<'END'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    read = tomllib.load(file)
project = read["project"]
print(*read["build-system"]["requires"], "editables", *project["dependencies"], sep="\n")
if sys.argv[1] == "dev":
    extras = project["optional-dependencies"]
    print(*extras["dev"], *extras["vendors"], sep="\n")
END
    # The project's own build tool is pinned and stays installed, so that pip neither fetches its
    # newest version each time nor needs a network when only pyproject.toml has changed.
    pip="$venv_python -m pip install --quiet --disable-pip-version-check --no-input"
    # pip's warning about root says nothing to our users.
    export PIP_ROOT_USER_ACTION=ignore
    # shellcheck disable=SC2086  # a list of words
    $pip --use-pep517 -c constraints.txt -r .setup/requirements.txt &&
        $pip --no-build-isolation --no-deps -e . ||
        fail "pip failed (see above). Without a network, connect and run again."
    fingerprint >.setup/stamp.new
    mv .setup/stamp.new ".setup/$packages"
    rm -f .setup/unfinished
}

# ---- run -----------------------------------------------------------------------------------------

mkdir -p .setup
# Two at once (`make -j`, two terminals) wait for each other.
if command -v flock >/dev/null 2>&1; then
    exec 9>.setup/lock
    flock -n 9 || {
        say "another setup is running; waiting for it"
        flock 9
    }
fi

is_installed || install_packages

missing=""
has_flite "$venv_python" || missing="libflite1"
if [ "$want" = test ]; then
    has_browser || missing="$missing chromium"
    has_atomic "$venv_python" || missing="$missing libatomic1"
    command -v espeak-ng >/dev/null 2>&1 || missing="$missing espeak-ng"
    command -v baresip >/dev/null 2>&1 || missing="$missing baresip"
    command -v sipp >/dev/null 2>&1 || missing="$missing sip-tester"
    # A TURN server, for calls that are relayed.
    command -v turnserver >/dev/null 2>&1 || missing="$missing coturn"
fi
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    if ! install_debian $missing; then
        if [ "$want" = test ]; then fail "the tests need these."; fi
        say "going on without: agents with the built-in voice (tts: flite) cannot speak"
    fi
fi
