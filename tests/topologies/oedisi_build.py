"""``oedisi build`` with one of OEDISI's own components in the system: ``oedisi_build.py DIR``.

The command line knows components by their files only; the mock has none, so the system is put
together by OEDISI's own functions.
"""

import json
import sys
from pathlib import Path

from oedisi.componentframework.basic_component import component_from_json
from oedisi.componentframework.mock_component import MockComponent
from oedisi.componentframework.system_configuration import (
    Component,
    Link,
    WiringDiagram,
    generate_runner_config,
)

SEEN = ("voltages_magnitude", "powers_real", "powers_imag", "switch_states")
HERE = Path(__file__).parent
place = Path(sys.argv[1])
definitions = {name: place / file for name, file in
               json.loads((place / "components.json").read_text()).items()}  # fmt: skip
definitions["recorder"] = HERE / "oedisi_recorder" / "component_definition.json"
types = {"mock": MockComponent}
for name, file in definitions.items():
    types[name] = component_from_json(file, lambda kind, value: True)  # noqa: ARG005
    types[name]._origin_directory = str(file.parent)  # as OEDISI's command does
system = WiringDiagram.model_validate_json((place / "system.json").read_text())
system.add_component(Component(name="recorder", type="recorder", parameters={}))
mock = {"inputs": list(SEEN), "outputs": {}}
system.add_component(Component(name="mock", type="mock", parameters=mock))
for name in ("recorder", "mock"):
    for port in SEEN:
        system.add_link(Link(source="feeder", source_port=port, target=name, target_port=port))
runner = generate_runner_config(
    system,
    types,
    lambda one, other: other.type in ("", one.type),
    target_directory=str(place / "build"),
)
(place / "build" / "system_runner.json").write_text(runner.model_dump_json(indent=2))
