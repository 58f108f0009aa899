"""A strict reader of Prometheus' text format 0.0.4, for tests."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (\S+)")


def read(text):
    """The page as {family: (type, {(name, labels): value})}; asserts everything the format demands."""
    assert text.endswith("\n")
    families = {}
    family = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in families, f"{family} comes twice"
            assert len(line.split(" ", 3)) == 4, f"{family} has no help"
            families[family] = (None, {})
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and families[family][0] is None
            assert kind in ("counter", "gauge", "histogram")
            families[family] = (kind, {})
            continue
        found = SAMPLE.fullmatch(line)
        assert found, f"not a sample: {line}"
        name, labels, value = found.group(1), found.group(2) or "", float(found.group(found.lastindex))
        kind, samples = families[family]
        stem = re.sub("_(bucket|sum|count)$", "", name) if kind == "histogram" else name
        assert stem == family, f"{name} stands among {family}"
        key = name, tuple(sorted((k, v) for k, v in re.findall(LABEL, labels)))
        assert key not in samples, f"{key} comes twice"
        samples[key] = value
        assert value >= 0
    for family, (kind, samples) in families.items():
        assert kind, f"{family} has no type"
        if kind == "counter":
            assert family.endswith("_total"), family
        if kind == "histogram":
            check_histogram(family, samples)
    return families


def check_histogram(family, samples):
    rows = {}
    for (name, labels), value in samples.items():
        if name == family + "_bucket":
            labels = dict(labels)
            bound = float(labels.pop("le"))
            rows.setdefault(tuple(sorted(labels.items())), []).append((bound, value))
    assert rows, family
    for labels, row in rows.items():
        assert row == sorted(row), f"{family}: bounds not in order"
        values = [value for _, value in row]
        assert values == sorted(values), f"{family}: buckets not cumulative"
        assert row[-1][0] == float("inf")
        assert row[-1][1] == samples[family + "_count", labels]
        assert (family + "_sum", labels) in samples


class Page:
    def __init__(self, text):
        self.families = read(text)

    def value(self, name, **labels):
        """The sum of the samples of that name that have these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for _, samples in self.families.values()
            for (sample, have), value in samples.items()
            if sample == name and wanted <= set(have)
        )

    def names(self):
        return {name for _, samples in self.families.values() for name, _ in samples}

    def labels(self, name):
        return [dict(have) for _, s in self.families.values() for sample, have in s if sample == name]


def metric(server, name, **labels):
    """A value of the server's page, as the admin port shows it."""
    return Page(server.get("/metrics", port=server.admin_port).body.decode()).value(name, **labels)
