"""The programs, and the files that they write and read."""

import functools
import re
import subprocess
import sys
import threading

import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.cases import ROOT
from tests.serving.conftest import eventually, options, save
from tfgig import Lane
from tfgig.serving import Batching, LocalServer, ServerOptions
from tfgig.serving.deployment.agreement import check_batching, unmergeable
from tfgig.serving.deployment.contract import check_contract
from tfgig.serving.deployment.manifests import Deployment, files_of, pinned_tag, write_configuration
from tfgig.serving.deployment.options import batching_text, read_batching
from tfgig.serving.deployment.services import Service, one_server, two_servers


def program(name, *arguments):
    code = f"import sys; sys.argv[0] = 'tfgig-{name}'; from tools.{name} import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_configuration_of_an_export(exported, tmp_path):
    done = program("config", f"--model_base_path={exported}", f"--output={tmp_path}", "--cpus=3")
    assert done.returncode == 0, done.stderr
    assert "explain_ig" in done.stdout
    assert "1,465" in done.stdout  # 12 x 10 x 3 floats, four more, a target and a flag
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((tmp_path / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("tiny", "/models/tiny")
    compose = yaml.safe_load((tmp_path / "docker-compose.yaml").read_text())
    assert list(compose["services"]) == ["serve"]
    for service in compose["services"].values():
        assert service["image"] == f"tensorflow/serving:{pinned_tag(tf.__version__)}"
        assert service["volumes"][0]["source"] == str(exported.resolve())
        assert service["volumes"][0]["target"] == "/models/tiny"
        for flag in service["command"]:
            name, _, value = flag.partition("=")
            if value.startswith("/config/"):
                assert (tmp_path / value.removeprefix("/config/")).is_file(), name
    assert compose["services"]["serve"]["cpus"] == 3
    # A thread for each processor, and one for the explanation that the lane lets run.
    assert "--tensorflow_inter_op_parallelism=4" in compose["services"]["serve"]["command"]
    assert "--enable_batching=true" in compose["services"]["serve"]["command"]
    head = (tmp_path / "docker-compose.yaml").read_text().partition("services:")[0]
    assert "serve: 4 = 3 for the processors and 1 for the explanations that the" in head
    batching = read_batching(tmp_path / "batching_parameters.txt")
    assert (batching.max_batch_size, batching.num_batch_threads) == (32, 3 + 1 + 4)
    assert check_contract(exported / "1", batching) == []
    manifests = list(yaml.safe_load_all((tmp_path / "inference-service.yaml").read_text()))
    assert [m["metadata"]["name"] for m in manifests] == ["tiny"]
    assert {m["kind"] for m in manifests} == {"InferenceService"}


def test_two_servers_where_they_are_asked_for(exported, tmp_path):
    flags = ("--separate", "--cpus=3", "--explain_cpus=1", "--max_rows=20", "--max_batch_size=24")
    done = program("config", f"--model_base_path={exported}", f"--output={tmp_path}", *flags)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load((tmp_path / "docker-compose.yaml").read_text())["services"]
    assert [service["cpus"] for service in services.values()] == [3, 1]
    assert services["explain"]["ports"] == ["127.0.0.1:8510:8500", "127.0.0.1:8511:8501"]
    explain = read_batching(tmp_path / "explain_batching_parameters.txt")
    assert (explain.max_batch_size, explain.rows_of_a_run) == (24, 8)
    manifests = yaml.safe_load_all((tmp_path / "inference-service.yaml").read_text())
    assert [m["metadata"]["name"] for m in manifests] == ["tiny", "tiny-explain"]


def test_sizes_that_do_not_agree_are_refused(exported, tmp_path):
    """The server would not load the version, or refuse its clients."""
    run = functools.partial(
        program, "config", f"--model_base_path={exported}", f"--output={tmp_path / 'new'}"
    )
    done = run("--max_batch_size=1")
    assert done.returncode == 1
    assert "record of 2 rows, and `max_batch_size` is 1" in done.stderr
    assert "raise `max_batch_size` to 2" in done.stderr
    done = run("--max_batch_size=8")
    assert done.returncode == 1
    assert "is 8, but clients send 32 rows" in done.stderr
    assert "Client(max_rows=8)" in done.stderr
    assert not (tmp_path / "new").exists()
    assert run("--max_batch_size=8", "--max_rows=8").returncode == 0


def test_series_of_open_length_are_not_merged(tmp_path):
    series = tf.TensorSpec([None, None, 2], tf.float32, "series")
    save(tmp_path / "m" / "1", lambda series: {"y": tf.reduce_sum(series, 1)}, series)
    run = functools.partial(program, "config", f"--model_base_path={tmp_path / 'm'}")
    done = run("--enable_batching", f"--output={tmp_path / 'a'}")
    assert done.returncode == 1
    assert "serving_default, input 'series': has rows of open size" in done.stderr
    assert "gives wrong numbers" in done.stderr
    assert "--enable_batching=false" in done.stderr
    done = run(f"--output={tmp_path / 'b'}")
    assert done.returncode == 0, done.stderr
    assert "Requests are not merged. serving_default, input 'series'" in done.stdout
    (service,) = yaml.safe_load((tmp_path / "b" / "docker-compose.yaml").read_text())[
        "services"
    ].values()
    assert "--enable_batching=false" in service["command"]
    assert not (tmp_path / "b" / "batching_parameters.txt").exists()


def test_inputs_that_can_be_merged():
    definition = meta_graph_pb2.SignatureDef()
    for name, sizes in (("fixed", [-1, 4]), ("text", [-1]), ("once", [2]), ("open", [-1, -1])):
        for size in sizes:
            definition.inputs[name].tensor_shape.dim.add(size=size)
    definition.inputs["any"].tensor_shape.unknown_rank = True
    found = {finding.subject: str(finding) for finding in unmergeable({"s": definition})}
    assert set(found) == {"s, input 'once'", "s, input 'open'", "s, input 'any'"}
    assert "has one value for all rows" in found["s, input 'once'"]


def test_threads_beside_the_lane():
    """Batch threads that wait in the lane are not those that predictions need."""
    for lane in (Lane(), Lane(at_once=2, waiting=3), None, Lane(at_once=0)):
        (service,) = one_server(2, lane=lane)
        assert check_batching(service.batching, {}, {}, lane) == []
    (note,) = check_batching(Batching(True, 32, num_batch_threads=2), {}, {}, Lane())
    assert note.note
    assert "hold up to 5" in str(note)
    assert one_server(2, lane=Lane(at_once=3))[0].inter_op == 5
    assert one_server(2, lane=None)[0].inter_op == 8


def test_batching_parameters_come_back(tmp_path):
    batching = Batching(True, 16, 1500, 32, 4, (4, 8, 16), True, True, 8)
    (tmp_path / "parameters.txt").write_text(batching_text(batching))
    assert read_batching(tmp_path / "parameters.txt") == batching
    # As people write it, with comments and only some of them.
    (tmp_path / "some.txt").write_text("# mine\nmax_batch_size { value: 128 }\n")
    assert read_batching(tmp_path / "some.txt") == Batching(True, max_batch_size=128)
    (tmp_path / "wrong.txt").write_text("batch_size { value: 128 }\n")
    with pytest.raises(
        ValueError, match=r"batching parameters are invalid.*batch_size.*wrong\.txt"
    ):
        read_batching(tmp_path / "wrong.txt")


def test_predictions_and_explanations_are_batched_apart():
    files = files_of(Deployment("flowers", "/srv/models/flowers", two_servers()))
    assert files["batching_parameters.txt"] != files["explain_batching_parameters.txt"]


def test_what_is_written_is_what_was_given():
    """Whatever a directory is called: YAML, Compose's short form and its variables do nothing."""
    odd = "/srv/a: b # c/${HOME}:x/'quoted\" - [&y"
    files = files_of(Deployment("flowers", odd, storage="s3://bucket/a:b#{c}", tag="2.21.0"))
    for service in yaml.safe_load(files["docker-compose.yaml"])["services"].values():
        assert service["volumes"][0]["source"] == odd.replace("$", "$$")
        assert service["image"] == "tensorflow/serving:2.21.0"
    manifests = list(yaml.safe_load_all(files["inference-service.yaml"]))
    for manifest in manifests:
        model = manifest["spec"]["predictor"]["model"]
        assert model["storageUri"] == "s3://bucket/a:b#{c}/flowers"
        assert model["runtimeVersion"] == "2.21.0"


def test_services_can_do_no_more_than_they_need():
    files = files_of(Deployment("flowers", "/models/flowers", two_servers(memory=(1024, 2048))))
    services = yaml.safe_load(files["docker-compose.yaml"])["services"]
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert service["pids_limit"] > 0
        assert all(mount["read_only"] for mount in service["volumes"])
        assert "privileged" not in service
    assert [service["mem_limit"] for service in services.values()] == ["1024m", "2048m"]
    for manifest in yaml.safe_load_all(files["inference-service.yaml"]):
        model = manifest["spec"]["predictor"]["model"]
        assert model["securityContext"]["allowPrivilegeEscalation"] is False
        assert set(model["resources"]["limits"]) == {"cpu", "memory"}


def test_the_image_is_pinned_and_no_older_than_the_export():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pinned_tag())
    assert pinned_tag("2.3.0") == pinned_tag("2.22.0-dev1") == pinned_tag()
    assert pinned_tag("99.0.1") == "99.0.1"


def test_files_that_are_there_are_kept(tmp_path):
    deployment = Deployment("flowers", "/models/flowers")
    (tmp_path / "monitoring.config").write_text("mine")
    with pytest.raises(FileExistsError, match=r"--overwrite.*Received: .*monitoring\.config"):
        write_configuration(deployment, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["monitoring.config"]
    assert len(write_configuration(deployment, tmp_path, overwrite=True)) == 5
    assert (tmp_path / "monitoring.config").read_text() != "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Big Model"}, "lower-case letters"),
        ({"name": "tiny\n"}, "lower-case letters"),
        ({"base": "models"}, "absolute path"),
        ({"base": "/srv\n    privileged: true"}, "printable"),
        ({"storage": "pvc://x\n      privileged: true"}, "must be an address"),
        ({"storage": "models"}, "must be an address"),
        ({"tag": "latest\n    privileged: true"}, "tag may contain only letters"),
        ({"tag": "x" * 129}, "at most 128"),
        ({"services": ()}, "at least one server"),
        ({"seconds": 0}, "takes time"),
    ],
)
def test_a_deployment_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Deployment(**{"name": "flowers", "base": "/srv/flowers", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"memory": 0}, "at least 256 MiB"), ({"cpus": 0}, "at least 1 processor")],
)
def test_a_service_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Service(**changes)


def test_mistakes_are_one_line():
    done = program("serve", "--model_base_path=/nowhere/at/all")
    assert done.returncode == 1
    assert done.stderr == "error: The directory '/nowhere/at/all' does not exist.\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 7000, "rest_port": 7000}, "gRPC and REST need different ports"),
        ({"poll_seconds": 0}, "`poll_seconds` must be above 0"),
        ({"max_request_mebibytes": -1}, "`max_request_mebibytes` must be above 0"),
    ],
)
def test_the_servers_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        ServerOptions(**changes)


def test_a_version_is_not_a_model(exported):
    with pytest.raises(ValueError, match=f"give the model's directory.*{exported}"):
        LocalServer(exported / "1", ServerOptions(port=0, rest_port=0))


def test_a_port_that_is_taken(exported, server):
    for name, address in (("port", server.grpc_address), ("rest_port", server.rest_address)):
        taken = ServerOptions(**{"port": 0, "rest_port": 0, name: int(address.rpartition(":")[2])})
        with pytest.raises(OSError, match=r"[Pp]ort"):
            LocalServer(exported, taken)


def port_of(address):
    return int(address.rpartition(":")[2])


def test_a_port_is_taken_from_the_beginning(slow):
    """Not only once the model is loaded: the second server would stand there without REST."""
    first = LocalServer(slow, options())
    try:
        with pytest.raises(OSError, match="Cannot listen on port"):
            LocalServer(slow, options(rest_port=port_of(first.rest_address)))
    finally:
        first.stop()


def test_what_does_not_start_leaves_nothing(slow, server):
    threads = threading.active_count()
    for name, address in (("port", server.grpc_address), ("rest_port", server.rest_address)):
        for _ in range(3):
            with pytest.raises(OSError, match=r"[Pp]ort"):
                LocalServer(slow, options(**{name: port_of(address)}))
    assert threading.active_count() <= threads  # those of tests before may end meanwhile
    unstarted = LocalServer(slow, options())
    ports = {
        "port": port_of(unstarted.grpc_address),
        "rest_port": port_of(unstarted.rest_address),
    }
    unstarted.stop()
    LocalServer(slow, options(**ports)).stop()
    eventually(lambda: threading.active_count() <= threads)


def test_a_protocol_that_does_not_start_is_an_error(slow):
    threads = threading.active_count()
    server = LocalServer(slow, options())
    server._rest._server.run = lambda sockets: None
    with pytest.raises(RuntimeError, match="REST server did not start"):
        server.start()
    eventually(lambda: threading.active_count() <= threads)


def test_a_version_is_not_a_model_for_the_configuration(exported, tmp_path):
    done = program("config", f"--model_base_path={exported / '1'}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "give the model's directory" in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_the_extra():
    """Nothing of the extra is imported before it is used, and then the error names the command."""
    code = """
import sys
for name in ("grpc", "tensorflow_serving", "starlette", "uvicorn", "prometheus_client"):
    sys.modules[name] = None
import tfgig, tfgig.serving
for make in (lambda: tfgig.serving.Client("host:1"), lambda: tfgig.serving.LocalServer(".")):
    try:
        make()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert "pip install 'tfgig[serving]'" in line
