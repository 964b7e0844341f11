"""Views of revision 0002, in the SQL of SQLite and of PostgreSQL. Frozen: a change is a new revision's.

| view              | a row                                                                                          |
| ----------------- | ---------------------------------------------------------------------------------------------- |
| `lease_span`      | a lease with its end: the close, else the reconciler's, never before the last sign of life      |
| `price_period`    | a device's price from when to when; price NULL where there is none                              |
| `charge`          | what one lease held in one month at one price; an expense; an adjustment                        |
| `lease_cost`      | a lease's cost; NULL where a part of it has no price                                            |
| `estimate_actual` | the latest plan of a build's stage and device, beside what was booked                           |
| `burn`            | a budget's spend in one month                                                                   |
| `focus`           | charges under the FOCUS 1.3 names                                                               |

A charge's ``share_microseconds`` are microseconds held x devices x the share's numerator; divided by
``share_denominator`` they are device-microseconds. ``micro_usd`` is rounded half up per row, without a product that
leaves 64 bits below 1,280 USD a device-hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

HOUR = 3_600_000_000
SQLITE = {
    "greatest": "max", "least": "min",
    "first_ever": "'0001-01-01 00:00:00.000000'", "last_ever": "'9999-12-31 00:00:00.000000'",
}  # fmt: skip
POSTGRESQL = {
    "greatest": "GREATEST", "least": "LEAST",
    "first_ever": "TIMESTAMPTZ '0001-01-01 00:00:00+00'", "last_ever": "TIMESTAMPTZ '9999-12-31 00:00:00+00'",
}  # fmt: skip


def statements(dialect: str) -> Iterator[str]:
    """The CREATE VIEW statements, in the order in which they need each other."""
    words = dict(POSTGRESQL if dialect == "postgresql" else SQLITE)
    words["month_of_start"] = _month(dialect, "start_at", 0)
    words["month_of_period"] = _month(dialect, "x.period_start", 0)
    words["month_after_opened"] = _month(dialect, "opened_at", 1)
    words["month_after_end"] = _month(dialect, "end_at", 1)
    words["held"] = f"({_microseconds(dialect, 'end_at')} - {_microseconds(dialect, 'start_at')})"
    words["hour"] = str(HOUR)
    for view in (LEASE_SPAN, PRICE_PERIOD, CHARGE, LEASE_COST, ESTIMATE_ACTUAL, BURN, FOCUS):
        yield Template(view).substitute(words)


def _microseconds(dialect: str, moment: str) -> str:
    if dialect == "postgresql":
        return f"CAST(extract(epoch FROM {moment}) * 1000000 AS bigint)"
    return f"(CAST(strftime('%s', {moment}) AS INTEGER) * 1000000 + CAST(substr({moment}, 21, 6) AS INTEGER))"


def _month(dialect: str, moment: str, later: int) -> str:
    if dialect == "postgresql":
        return f"((date_trunc('month', {moment} AT TIME ZONE 'UTC') + interval '{later} month') AT TIME ZONE 'UTC')"
    return f"strftime('%Y-%m-01 00:00:00.000000', {moment}, 'start of month', '+{later} month')"


# Each sign is one seek in the index (lease_id, kind, at): what a span costs does not grow with its beats.
LEASE_SPAN = """
CREATE VIEW lease_span AS
WITH sign AS MATERIALIZED (
    SELECT l.id AS lease_id,
        $greatest(
            l.opened_at,
            COALESCE((SELECT max(e.at) FROM lease_event e WHERE e.lease_id = l.id AND e.kind = 'beat'), l.opened_at),
            COALESCE((SELECT max(e.at) FROM lease_event e WHERE e.lease_id = l.id AND e.kind = 'child'), l.opened_at)
        ) AS last_sign_at,
        (SELECT max(e.at) FROM lease_event e WHERE e.lease_id = l.id AND e.kind = 'reconciled') AS reconciled_at,
        (SELECT max(e.at) FROM lease_event e WHERE e.lease_id = l.id AND e.kind = 'close') AS closed_at,
        (SELECT max(e.exit_code) FROM lease_event e WHERE e.lease_id = l.id AND e.kind = 'close') AS exit_code
    FROM lease l
), told AS (
    SELECT sign.*,
        CASE
            WHEN closed_at IS NOT NULL THEN $greatest(closed_at, last_sign_at)
            WHEN reconciled_at >= last_sign_at THEN reconciled_at
        END AS ended_at
    FROM sign
)
SELECT l.id AS lease_id, l.build_id, b.vertical, b.team, b.scale, l.stage, l.artifact_fingerprint, l.attempt,
    l.device, d.kind AS device_kind, l.device_count, l.share_numerator, l.share_denominator,
    l.opened_at, t.last_sign_at, t.ended_at, COALESCE(t.ended_at, t.last_sign_at) AS billed_until, t.exit_code,
    CASE
        WHEN t.ended_at IS NULL THEN 'open'
        WHEN t.closed_at IS NULL THEN 'killed'
        WHEN t.exit_code = 0 THEN 'done'
        WHEN t.exit_code = 75 THEN 'stopped'
        ELSE 'failed'
    END AS status
FROM told t
JOIN lease l ON l.id = t.lease_id
JOIN build b ON b.id = l.build_id
JOIN device d ON d.name = l.device
"""

PRICE_PERIOD = """
CREATE VIEW price_period AS
WITH in_force AS (
    SELECT * FROM price p WHERE NOT EXISTS (SELECT 1 FROM price later WHERE later.supersedes = p.id)
)
SELECT device, micro_usd_per_device_hour, source, valid_from,
    COALESCE(lead(valid_from) OVER (PARTITION BY device ORDER BY valid_from), $last_ever) AS valid_until
FROM in_force
UNION ALL
SELECT d.name, NULL, '', $first_ever, COALESCE((SELECT min(valid_from) FROM in_force WHERE device = d.name), $last_ever)
FROM device d
"""

CHARGE = """
CREATE VIEW charge AS
WITH RECURSIVE monthly AS (
    SELECT s.*, s.opened_at AS start_at, $least(s.billed_until, $month_after_opened) AS end_at FROM lease_span s
    UNION ALL
    SELECT m.lease_id, m.build_id, m.vertical, m.team, m.scale, m.stage, m.artifact_fingerprint, m.attempt,
        m.device, m.device_kind, m.device_count, m.share_numerator, m.share_denominator,
        m.opened_at, m.last_sign_at, m.ended_at, m.billed_until, m.exit_code, m.status,
        m.end_at, $least(m.billed_until, $month_after_end)
    FROM monthly m WHERE m.end_at < m.billed_until
), period AS MATERIALIZED (
    SELECT * FROM price_period
), priced AS (
    SELECT m.lease_id, m.build_id, m.vertical, m.team, m.scale, m.stage, m.artifact_fingerprint, m.attempt, m.status,
        m.device, m.device_kind, m.device_count * m.share_numerator AS weight, m.share_denominator,
        $greatest(m.start_at, r.valid_from) AS start_at, $least(m.end_at, r.valid_until) AS end_at,
        r.micro_usd_per_device_hour, r.source
    FROM monthly m
    JOIN period r ON r.device = m.device AND r.valid_until > m.start_at
        AND (r.valid_from <= m.start_at OR r.valid_from < m.end_at)
), held AS (
    SELECT priced.*, $held * weight AS share_microseconds FROM priced
)
SELECT 'compute' AS kind, lease_id AS source_id, device_kind AS category, vertical, team, build_id, scale, stage,
    artifact_fingerprint, attempt, status, device AS item, '' AS provider, source AS evidence, '' AS description,
    $month_of_start AS month, start_at, end_at, share_microseconds, share_denominator, NULL AS quantity,
    'hours' AS unit, micro_usd_per_device_hour AS unit_micro_usd,
    share_microseconds / ($hour * share_denominator) * micro_usd_per_device_hour
        + (2 * (share_microseconds % ($hour * share_denominator)) / share_denominator * micro_usd_per_device_hour
        + $hour) / (2 * $hour) AS micro_usd
FROM held
UNION ALL
SELECT 'expense', CAST(x.id AS VARCHAR), x.category,
    CASE WHEN x.vertical = '' THEN COALESCE(b.vertical, '') ELSE x.vertical END,
    CASE WHEN x.team = '' THEN COALESCE(b.team, '') ELSE x.team END,
    x.build_id, COALESCE(b.scale, ''), x.stage, x.artifact_fingerprint, NULL, 'done', x.category, x.provider,
    x.evidence, x.note, $month_of_period, x.period_start, x.period_end, NULL, NULL, x.quantity, x.unit, NULL,
    x.micro_usd
FROM expense x LEFT JOIN build b ON b.id = x.build_id
UNION ALL
SELECT 'adjustment', CAST(x.id AS VARCHAR), 'adjustment',
    CASE WHEN x.vertical = '' THEN COALESCE(b.vertical, '') ELSE x.vertical END,
    CASE WHEN x.team = '' THEN COALESCE(b.team, '') ELSE x.team END,
    COALESCE(x.build_id, l.build_id), COALESCE(b.scale, ''), COALESCE(l.stage, ''),
    COALESCE(l.artifact_fingerprint, ''), NULL, 'done', x.device, COALESCE(p.provider, ''), x.evidence, x.reason,
    $month_of_period, x.period_start, x.period_end, NULL, NULL, NULL, '', NULL, x.micro_usd
FROM adjustment x
LEFT JOIN lease l ON l.id = x.lease_id
LEFT JOIN build b ON b.id = COALESCE(x.build_id, l.build_id)
LEFT JOIN provider_charge p ON p.id = x.provider_charge_id
"""

LEASE_COST = """
CREATE VIEW lease_cost AS
SELECT source_id AS lease_id, build_id, vertical, stage, artifact_fingerprint, item AS device, status,
    sum(share_microseconds) / 1000000.0 / min(share_denominator) AS device_seconds,
    CASE WHEN count(micro_usd) = count(*) THEN sum(micro_usd) END AS micro_usd
FROM charge WHERE kind = 'compute'
GROUP BY source_id, build_id, vertical, stage, artifact_fingerprint, item, status
"""

ESTIMATE_ACTUAL = """
CREATE VIEW estimate_actual AS
WITH latest AS (
    SELECT * FROM estimate e WHERE e.id IN (SELECT max(id) FROM estimate GROUP BY build_id, stage, device)
), actual AS (
    SELECT build_id, stage, device, sum(device_seconds) AS device_seconds,
        CASE WHEN count(micro_usd) = count(*) THEN sum(micro_usd) END AS micro_usd
    FROM lease_cost GROUP BY build_id, stage, device
), named AS (
    SELECT build_id, stage, device FROM latest UNION SELECT build_id, stage, device FROM actual
)
SELECT n.build_id, n.stage, n.device, e.device_seconds AS estimated_device_seconds,
    a.device_seconds AS actual_device_seconds, e.micro_usd AS estimated_micro_usd, a.micro_usd AS actual_micro_usd
FROM named n
LEFT JOIN latest e ON e.build_id = n.build_id AND e.stage = n.stage AND e.device = n.device
LEFT JOIN actual a ON a.build_id = n.build_id AND a.stage = n.stage AND a.device = n.device
"""

BURN = """
CREATE VIEW burn AS
SELECT g.id AS budget_id, g.name, g.scope, g.scope_value, g.period, c.month, sum(c.micro_usd) AS micro_usd,
    count(*) - count(c.micro_usd) AS charges_without_price
FROM budget g
JOIN charge c ON g.scope = 'all' OR g.scope = 'vertical' AND c.vertical = g.scope_value
    OR g.scope = 'team' AND c.team = g.scope_value OR g.scope = 'build' AND c.build_id = g.scope_value
WHERE g.micro_usd IS NOT NULL AND NOT EXISTS (SELECT 1 FROM budget later WHERE later.supersedes = g.id)
GROUP BY g.id, g.name, g.scope, g.scope_value, g.period, c.month
"""

FOCUS = """
CREATE VIEW focus AS
SELECT micro_usd / 1000000.0 AS "BilledCost", micro_usd / 1000000.0 AS "EffectiveCost",
    micro_usd / 1000000.0 AS "ListCost", micro_usd / 1000000.0 AS "ContractedCost", 'USD' AS "BillingCurrency",
    month AS "BillingPeriodStart", start_at AS "ChargePeriodStart", end_at AS "ChargePeriodEnd",
    CASE kind WHEN 'compute' THEN 'Usage' WHEN 'expense' THEN 'Purchase' ELSE 'Adjustment' END AS "ChargeCategory",
    CASE WHEN kind = 'adjustment' THEN 'Correction' END AS "ChargeClass",
    share_microseconds / ($hour * 1.0 * share_denominator) AS "ConsumedQuantity", item AS "ResourceType",
    source_id AS "ResourceId", vertical AS "x_Vertical", team AS "x_Team", build_id AS "x_BuildId", stage AS "x_Stage",
    artifact_fingerprint AS "x_ArtifactFingerprint", status AS "x_Status", evidence AS "x_Evidence"
FROM charge
"""
