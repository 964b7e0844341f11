#!/usr/bin/env bash
# The browser in which a test looks at the build report. Without it that test is skipped: a failure here only warns.
set -uo pipefail
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "install: no chromium and no right to install it; the test of the report's page will be skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; }; then
    echo "install: chromium could not be installed; the test of the report's page will be skipped" >&2
fi
exit 0
