"""The dashboard over a real ledger and a real store, by HTTP and as files."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from contracts.errors import BusyError, InputError, LedgerError, StillroomError
from flows.cli import app
from flows.dashboard import amounts
from flows.dashboard.graph import layered
from flows.dashboard.query import PAGES, parse, slug
from flows.dashboard.serve import refuse_without_key, serve
from flows.dashboard.source import Source
from flows.settings import NO_KEY, Settings
from tests.flows.dashboard_sample import CHAIN, HOSTILE, fp, open_a_lease, sample_home
from tests.flows.dashboard_server import dashboard_of
from tests.ledger.test_ledger_migration import earlier

PANELS = ["/", *(f"/{name}" for name in PAGES if name != "overview")]
KEY = SecretStr("k" * 32)


class Checked(HTMLParser):
    """What a page is made of: tags closed in order, ids, labels, links."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return sample_home(tmp_path_factory.mktemp("dashboard") / "home")


@pytest.fixture(scope="module")
def site(settings: Settings) -> Iterator[httpx.Client]:
    with dashboard_of(settings) as url, httpx.Client(base_url=url, timeout=None) as client:
        yield client


def headline(text: str) -> str:
    found = re.search(r'<h1 id="headline">(.*?)</h1>', text)
    assert found
    return found.group(1)


@pytest.mark.parametrize("path", [*PANELS, "/builds/b1", f"/artifacts/{fp('student:small')}", "/builds/b3"])
def test_every_page_is_whole(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 200, answer.text[-400:]
    page = Checked(answer.text)
    assert headline(answer.text)
    assert page.all("a")[0]["href"] == "#main"
    assert len(page.all("main")) == len(page.all("nav")) == len(page.all("h1")) == 1
    assert all("scope" in one for one in page.all("th"))
    assert all("aria-label" in one or "aria-hidden" in one or one.get("class") == "lineage" for one in page.all("svg"))
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert "style=" not in answer.text, "the policy forbids it"


def test_the_policy_lets_nothing_in(site: httpx.Client) -> None:
    for path in ("/", "/spend", "/nothing", "/static/live.js"):
        told = site.get(path).headers
        assert told["x-content-type-options"] == "nosniff"
        assert told["cache-control"] == "no-store"
    policy = site.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert "script-src 'self'; connect-src 'self'" in site.get("/running").headers["content-security-policy"]


def test_the_figures_are_the_ledgers(site: httpx.Client) -> None:
    # 2 USD a GPU-hour, 6.25 of them and 0.5 lost in finance, one lost in real estate; half an hour on a processor
    page = site.get("/").text
    assert headline(page) == "$15.54 spent, 19.3 % of it wasted"
    assert "7.750 " in page.replace("<b>7.750</b>", "7.750 ")
    assert headline(site.get("/", params={"vertical": "real_estate"}).text) == "$2.00 spent, 100 % of it wasted"
    budgets = site.get("/budgets").text
    assert "$9.50" in budgets
    assert "at a checkpoint" in budgets
    estimates = site.get("/estimates").text
    assert "+150 %" in estimates  # sft: 2.5 hours, half of one lost, for one planned
    assert "−10.0 %" in estimates
    attribution = site.get("/attribution").text
    assert headline(attribution) == "An accepted document cost $0.0010, an accepted answer $0.040, a score point $0.066"
    assert "saved USD" in attribution
    build = site.get("/builds/b1").text
    assert "annotation" not in build
    assert "made of" in build


def test_the_filter_lives_in_the_url_and_in_every_link(site: httpx.Client) -> None:
    page = site.get(
        "/spend", params={"vertical": "finance", "from": "2026-07-01", "to": "2026-07-01", "series": "stage"}
    )
    assert '<option selected value="finance">finance</option>' in page.text
    assert 'href="/budgets?vertical=finance&amp;from=2026-07-01&amp;to=2026-07-01"' in page.text
    assert "2026-07-02" not in page.text.split("By vertical")[0].split("<details>")[1]
    nothing = site.get("/spend", params={"from": "2031-01-01"}).text
    assert headline(nothing) == "Nothing was spent"
    assert "Widen the dates" in nothing
    assert site.get("/lineage", params={"build": "b2"}).text.count('class="box') == 4


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/spend?from=July", 400, "from: must be a day or a time with its zone, got July"),
        ("/spend?from=2026-07-02&to=2026-07-01", 400, "to: must not lie before from"),
        ("/spend?to=9999-12-31", 400, "to: lies too far ahead"),
        ("/quality?worth=-1", 400, "worth: must be a number above 0, got -1"),
        ("/quality?hours=1e9", 400, "hours: must be a number above 0"),
        ("/artifacts/none", 404, "artifact: is not in this store, got none"),
        ("/builds/..%2F..%2Fetc", 404, "build: is not in this ledger, got ../../etc"),
        ("/nothing", 404, "page: is not in this dashboard"),
    ],
)
def test_what_cannot_be_asked_is_a_page_of_its_own(site: httpx.Client, path: str, status: int, told: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text[-600:]
    Checked(answer.text)


def test_an_artifact_leads_to_its_inputs_users_and_quality(site: httpx.Client) -> None:
    page = site.get(f"/artifacts/{fp('merge:sft')}").text
    for word in ("Apache-2.0, CC0-1.0", "Evaluation fevaluate-sf", "0.900", "student:small", "base:tiny", "note.txt"):
        assert word in page, word
    assert headline(page) == "merge:sft: a model"
    links = {one["href"] for one in Checked(page).all("a") if str(one.get("href")).startswith("/artifacts/")}
    assert {f"/artifacts/{fp(name)}" for name in ("base:tiny", "sft", "evaluate:sft", "student:small")} <= links
    assert (
        len(set(re.findall(r'data-artifact="([^"]+)"', page))) == len(CHAIN) - 1
    )  # the base's evaluation is not of it


def test_the_advisor_speaks(site: httpx.Client) -> None:
    page = site.get("/quality").text
    assert "finance at local" in page
    assert headline(page) == "Would another hour pay? Tuning go on, small go on."
    assert "that it began at 0 points is assumed" in page
    assert ">STOP<" in site.get("/quality", params={"worth": "11", "hours": "1"}).text
    assert site.get("/quality", params={"vertical": "real_estate"}).text.count("<figure>") == 0


def test_running_leases_are_listed(tmp_path: Path) -> None:
    settings = sample_home(tmp_path / "home")
    with dashboard_of(settings) as url, httpx.Client(base_url=url, timeout=None) as client:
        assert headline(client.get("/running").text) == "Nothing is running"
        open_a_lease(settings)
        page = client.get("/running").text
        assert headline(page).startswith("1 stage running, $0.09")
        assert "2 × <bdi>H100</bdi>" in page
        assert client.get("/running", params={"vertical": "real_estate"}).text.count("data-lease") == 0


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    settings = sample_home(tmp_path / "home", hostile=True)
    with dashboard_of(settings) as url, httpx.Client(base_url=url, timeout=None) as client:
        for path in PANELS:
            page = client.get(path, params={"vertical": HOSTILE} if path == "/spend" else {})
            assert page.status_code == 200
            assert "<script>window" not in page.text
            assert "<img" not in page.text
            Checked(page.text)
        assert (
            client.get(
                "/builds/" + httpx.QueryParams({"a": HOSTILE})["a"].replace("/", "%2F").replace("?", "%3F")
            ).status_code
            == 200
        )


def test_only_loopback_names_are_answered_to(site: httpx.Client) -> None:
    assert site.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert site.get("/", headers={"Host": "localhost:8321"}).status_code == 200
    assert site.post("/").status_code == 405


def test_other_addresses_want_a_key(settings: Settings) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        with pytest.raises(InputError, match="is no loopback address: it is served only with a key"):
            refuse_without_key(host, NO_KEY)
        refuse_without_key(host, KEY)
    with pytest.raises(InputError, match="must have 16 characters or more, got 5"):
        refuse_without_key("0.0.0.0", SecretStr("short"))
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        refuse_without_key(host, NO_KEY)


def test_the_key_opens_the_pages(settings: Settings) -> None:
    with dashboard_of(settings, KEY, loopback=False) as url, httpx.Client(base_url=url, timeout=None) as client:
        for path in ("/", "/spend", "/static/live.js", "/artifacts/x"):
            refused = client.get(path)
            assert (refused.status_code, "15.54" in refused.text) == (401, False)
        assert client.get("/", headers={"Authorization": f"Bearer {KEY.get_secret_value()}"}).status_code == 200
        assert client.post("/key", data={"key": "wrong"}).status_code == 401
        assert client.post("/key", data={"key": "x" * 9000}).status_code == 413
        for place, inside in (("/spend?team=risk", "/spend?team=risk"), ("//evil.example", "/"), ("http://evil", "/")):
            entered = client.post("/key", data={"key": KEY.get_secret_value(), "next": place})
            assert (entered.status_code, entered.headers["location"]) == (303, inside)
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert KEY.get_secret_value() not in entered.headers["set-cookie"]
        assert client.get("/").status_code == 200  # the cookie


def test_a_port_in_use_is_told(settings: Settings) -> None:
    with dashboard_of(settings) as url, pytest.raises(BusyError, match="cannot be listened on"):
        serve(Source(settings), "127.0.0.1", int(url.rpartition(":")[2]), NO_KEY, print)


def test_who_follows_the_address_at_once_is_not_refused(settings: Settings) -> None:
    def follow(address: str) -> None:
        with socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(Source(settings), "127.0.0.1", 0, NO_KEY, follow)


def test_no_ledger_yet_is_a_page_that_helps(tmp_path: Path) -> None:
    with dashboard_of(Settings(home=tmp_path / "home")) as url, httpx.Client(base_url=url, timeout=None) as client:
        for path in PANELS:
            page = client.get(path)
            assert page.status_code == 200
            Checked(page.text)
        assert "stillroom demo finance --scale smoke" in client.get("/").text
    assert not (tmp_path / "home").exists(), "the dashboard makes nothing"


def test_an_older_ledger_is_refused_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(f"sqlite:///{tmp_path}/home/ledger.sqlite3", "0001")
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    with pytest.raises(LedgerError, match="stillroom ledger moves it forward"):
        stillroom("dashboard", "--port", "0")
    with dashboard_of(Settings(home=tmp_path / "home")) as url:
        answer = httpx.get(url, timeout=None)
        assert (answer.status_code, "has an earlier schema" in answer.text) == (503, True)


def stillroom(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, StillroomError):
        raise result.exception
    assert result.exception is None, result.output
    return result.output


def test_the_export_is_whole_and_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = sample_home(tmp_path / "home", hostile=True).home
    monkeypatch.setenv("STILLROOM_HOME", str(home))
    before = (home / "ledger.sqlite3").read_bytes()
    out = tmp_path / "out"
    told = stillroom("dashboard", "--export", str(out))
    files = {file.name for file in out.iterdir()}
    assert f"{len(files) - 1} pages" in told
    assert {"index.html", "spend.html", "spend-finance.html", "build-b1.html", f"artifact-{fp('sft')}.html"} <= files
    for name in files - {"dashboard.json"}:
        text = (out / name).read_text(encoding="utf-8")
        page = Checked(text)
        assert page.all("script") == []
        assert "http://" not in text
        targets = {str(one["href"]) for one in page.all("a")} - {"#main"}
        assert targets <= files, (name, targets - files)
    assert (home / "ledger.sqlite3").read_bytes() == before
    assert "pages" in stillroom("dashboard", "--export", str(out), "--vertical", "finance"), (
        "it replaces its forerunner"
    )
    assert not (out / "spend-finance.html").exists()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and no exported dashboard"):
        stillroom("dashboard", "--export", str(tmp_path / "else"))


def test_amounts_are_printed_to_the_micro_usd() -> None:
    assert [amounts.amount(one) for one in (0, 1, 123, 999_999, 1_234_567_890, -2_500_000, None)] == [
        "$0.00", "$0.000001", "$0.00012", "$1.00", "$1,234.57", "−$2.50", "no price",
    ]  # fmt: skip
    assert amounts.digits_for([1_000, 2_000_000]) == 4
    assert amounts.digits_for([]) == 2
    assert amounts.amount(0.173) == "$0.00000017"
    assert [amounts.percent(one, True) for one in (0.5, -0.25, 0, None, 31.4)] == [
        "+50.0 %",
        "−25.0 %",
        "0.0 %",
        "–",
        "+3,140 %",
    ]
    assert amounts.plain("a\u202eb\x00c" + "d" * 50, 10) == "a·b·cdddd…"
    assert [amounts.nice_step(one) for one in (0.0007, 1, 9, 42, 100)] == pytest.approx([0.0002, 0.5, 5, 20, 50])


def test_a_query_that_is_empty_is_all() -> None:
    assert parse({}).words == {}
    assert parse({"vertical": " ", "worth": "2"}).more == {"worth": "2"}
    assert parse({"to": "2026-07-01"}).scope.end is not None
    assert slug("a/../b").startswith("x")


def test_the_graph_puts_inputs_above_and_boxes_apart() -> None:
    inputs = {stage: list(given.values()) for stage, _, given, *_ in CHAIN}
    layout = layered(list(inputs), inputs)
    places = {box.name: box for box in layout.boxes}
    assert set(places) == set(inputs)
    assert all(places[one].y + places[one].height < places[stage].y for stage, given in inputs.items() for one in given)
    for one in layout.boxes:
        assert one.x >= 0
        assert one.x + one.width <= layout.width
        for two in layout.boxes:
            assert one == two or one.layer != two.layer or abs(one.x - two.x) >= one.width
    assert len(layout.wires) == sum(len(set(given)) for given in inputs.values())


def test_a_ring_in_damaged_records_does_not_hang() -> None:
    layout = layered(["a", "b", "c"], {"a": ["b"], "b": ["a"], "c": ["b", "gone", "c"]})
    assert {box.name for box in layout.boxes} == {"a", "b", "c"}
    assert layered([], {}).boxes == ()
