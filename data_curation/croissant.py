"""``croissant.json``: the dataset for machines, after the Croissant format 1.0 (MLCommons, March 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.artifacts import digest

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in (
        "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
        "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references",
        "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
    )},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}  # fmt: skip
PARQUET = "application/x-parquet"


def croissant(
    told: dict[str, Any], folder: Path, shards: dict[str, list[str]], columns: dict[str, str]
) -> dict[str, Any]:
    """The metadata of the shards in ``folder``.

    ``told`` holds schema.org's properties of the data set (name, description, license, ...), ``shards`` a record set's
    name to its files, relative to ``folder``, and ``columns`` a column to its croissant data type.
    """
    files = [
        {
            "@type": "cr:FileObject",
            "@id": file,
            "name": file,
            "contentUrl": file,
            "contentSize": f"{(folder / file).stat().st_size} B",
            "encodingFormat": PARQUET,
            "sha256": digest(folder / file),
        }
        for listed in shards.values()
        for file in listed
    ]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}-shards",
            "name": f"{name}-shards",
            "encodingFormat": PARQUET,
            "includes": f"data/{name}-*.parquet",
        }
        for name in shards
    ]
    records = [
        {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": f"Accepted documents for {name}, one a row.",
            "key": {"@id": f"{name}/id"},
            "field": [_field(name, column, kind) for column, kind in columns.items()],
        }
        for name in shards
    ]
    head = {"@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": CONFORMS_TO}
    return head | told | {"distribution": [*files, *sets], "recordSet": records}


def _field(name: str, column: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{name}/{column}",
        "name": column,
        "dataType": kind,
        "source": {"fileSet": {"@id": f"{name}-shards"}, "extract": {"column": column}},
    }
