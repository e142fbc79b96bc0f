"""The section `config` of run.json: each rung of the ladder, with the real frameworks."""

import json
import os
import shutil
import signal

from harness import HERE, VENV_PYTHON, PosterTest, main, needs_venv, poster_only, python, wait_until

EXAMPLES = HERE.parent.parent / "examples" / "frameworks"

HYDRA_APP = """
import json, os, sys, time
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    print(json.dumps(OmegaConf.to_container(cfg, resolve=True)), flush=True)
    if cfg.get("fail"):
        raise ValueError("as wanted")
    if cfg.get("wait"):
        open(cfg.wait, "w").close()
        time.sleep(1000)

main()
"""
HYDRA_CONFIG = """
defaults: [_self_, {db: mysql}]
lr: 0.1
twice: ${lr}
wait: null
fail: false
db_password: hunter2hunter2
"""

# An event file as a hook writes it, from a program that is no Python at all.
TELL = "cat >> $POSTER_EVENTS_DIR/host.$$.jsonl"


@poster_only
class Config(PosterTest):
    def config(self, run=None):
        return self.run_json(run).get("config", {})

    def tell(self, *events):
        return "".join('{"kind":"capture",' + json.dumps(event)[1:] + "\n" for event in events)

    def launch_telling(self, text, *words, script=TELL):
        return self.launch("sh", "-c", script, "sh", *words, input=text.encode())


class Events(Config):
    def test_what_a_hook_told_takes_the_place_of_the_guess(self):
        event = {"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 0.5}, "given": ["lr"]}
        self.launch_telling(self.tell(event), "--lr=7", "positional", "x=1")
        config = self.config()
        self.assertEqual(config["values"], {"lr": 0.5})
        self.assertEqual((config["source"], config["rung"]), ("argparse", "hook"))
        self.assertNotIn("positionals", config)

    def test_it_is_recorded_while_the_program_runs(self):
        event = {"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 0.5}}
        (self.cwd / "events").write_text(self.tell(event))
        process = self.start("sh", "-c", "cat events >> $POSTER_EVENTS_DIR/h.1.jsonl; exec sleep 1000")
        self.child_pid()
        wait_until(lambda: self.config().get("source") == "argparse", what="the captured configuration")
        process.terminate()
        process.wait(60)

    def test_no_secret_gets_into_the_record(self):
        secret = "swordfish-4711"
        values = {"api_key": secret, "db": {"password": secret}, "list": [{"auth_token": secret}], "db.secret": secret}
        job = {"pid": 1, "main": True, "framework": "hydra", "phase": "job_start", "mode": "MULTIRUN", "job": 0}
        hydra = {**job, "values": values, "raw": values, "overrides": [f"api_key={secret}"]}
        argparse = {"pid": 1, "main": True, "framework": "argparse", "values": values, "defaults": values}
        argparse["extra"] = ["--api-key", secret, f"--token={secret}x9"]
        for name, event in (("hydra", hydra), ("argparse", argparse)):
            with self.subTest(name):
                self.fresh_store()
                self.launch_telling(self.tell(event) + '{"kind":"config","values":{"my_password":"%s"}}\n' % secret)
                self.assertNotIn(secret, json.dumps(self.run_json()))
                self.assertIn("<redacted>", json.dumps(self.config()))

    def test_broken_lines_and_deep_nesting_harm_nothing(self):
        brackets = "[" * 100000 + "]" * 100000
        good = self.tell({"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 1}})
        for deep in (
            '"capture","framework":"argparse","main":true,"values":{"x":%s}',
            '"config","values":{"x":%s}',
            '"summary","values":{"x":%s}',
            '"metric","values":{"x":%s}',
            '"uses","module":%s',
            '"unknown","x":%s',
        ):
            with self.subTest(deep):
                self.fresh_store()
                deep = '{"kind":%s}\n' % (deep % brackets)
                self.launch_telling('{"kind":"capture","framework":\n{"kind":"capture"}\n' + deep + good)
                self.assertEqual(self.config()["values"], {"lr": 1})
                self.assertEqual(list((self.store / "active").iterdir()), [])

    def test_what_the_program_logs_is_kept_and_fills_gaps(self):
        logged = '{"kind":"config","values":{"lr":9,"width":8}}\n'
        self.launch_telling(logged, script=TELL + "; :")
        self.assertEqual((self.config()["values"], self.config()["source"]), ({"lr": 9, "width": 8}, "logged"))
        self.fresh_store()
        event = {"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 0.5}}
        self.launch_telling(self.tell(event) + logged)
        self.assertEqual(self.config()["values"], {"lr": 0.5, "width": 8})
        self.assertEqual(self.config()["logged"], {"lr": 9, "width": 8})

    def test_it_is_complete_when_poster_and_its_host_were_killed(self):
        event = {"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 0.5}}
        (self.cwd / "events").write_text(self.tell(event))
        script = "trap '' TERM; while [ ! -e go ]; do sleep 0.01; done; cat events >> $POSTER_EVENTS_DIR/h.1.jsonl; touch told; sleep 1000"
        process = self.start("sh", "-c", script)
        host = self.host_pid(process.pid)
        os.kill(host, signal.SIGSTOP)  # it reads nothing any more
        os.kill(process.pid, signal.SIGSTOP)
        (self.cwd / "go").touch()
        self.wait_for(self.cwd / "told")
        os.kill(process.pid, signal.SIGKILL)
        os.kill(host, signal.SIGKILL)
        process.wait()
        self.assert_gone(host)
        self.poster("ls")
        wait_until(lambda: self.config().get("source") == "argparse", what="the configuration, by recovery")

    def test_show_marks_what_was_given_and_lists_the_jobs(self):
        event = {"pid": 1, "main": True, "framework": "argparse", "values": {"lr": 0.5, "n": 3}, "given": ["lr"]}
        self.launch_telling(self.tell({**event, "defaults": {"lr": 0.1}}))
        page = self.poster("show", check=0).stdout.decode()
        self.assertIn("Config (argparse, read inside the program; * given)", page)
        self.assertRegex(page, r"lr +0\.5 \*  \(default 0\.1\)")
        self.assertRegex(page, r"n +3\n")
        self.fresh_store()
        job = {"pid": 1, "main": True, "framework": "hydra", "mode": "MULTIRUN", "job": 0, "overrides": ["lr=1"]}
        end = {**job, "phase": "job_end", "status": "FAILED", "error": "ValueError: x"}
        self.launch_telling(self.tell({**job, "phase": "job_start"}, end))
        self.assertRegex(self.poster("show", check=0).stdout.decode(), r"0 +FAILED +lr=1 +ValueError: x")

    def test_diff_compares_nested_values_and_not_the_words_twice(self):
        for lr in (1, 2):
            event = {"pid": 1, "main": True, "framework": "argparse", "values": {"model": {"lr": lr}, "seed": lr}}
            self.launch_telling(self.tell(event), f"--seed={lr}", f"--other={lr}")
        found = {it["what"]: (it["before"], it["after"]) for it in self.poster_json("diff", "last~1", "last")}
        self.assertEqual(found["config model.lr"], ("1", "2"))
        self.assertEqual(found["config seed"], ("1", "2"))
        self.assertEqual(found["argument other"], ("1", "2"))
        self.assertNotIn("argument seed", found)


@needs_venv
class Frameworks(Config):
    def test_the_record_is_what_the_program_itself_prints(self):
        table = {
            "argparse": "train_argparse.py --seed 4 train data.csv --lr 0.25",
            "jsonargparse": "train_jsonargparse.py --lr 2 --model.width 3",
            "simple-parsing": "train_simple_parsing.py --lr 3 --width 7",
            "click": "train_click.py --seed 4 train --lr 3",
            "typer": "train_typer.py train --lr 3",
            "absl": "train_absl.py --lr=2 rest",
            "tyro": "train_tyro.py --lr 2",
            "fire": "train_fire.py train data --lr 0.5",
            "hydra": "train_hydra.py lr=2",
        }
        for source, line in table.items():
            with self.subTest(source):
                self.fresh_store()
                script, *words = line.split()
                done = self.launch(VENV_PYTHON, EXAMPLES / script, *words)
                config = self.config()
                self.assertEqual((config["source"], config["rung"]), (source, "hook"))
                self.assertEqual(config["values"], json.loads(done.stdout.splitlines()[-1]))
                self.assertTrue(config["given"])


@needs_venv
class Hydra(Config):
    def setUp(self):
        super().setUp()
        (self.cwd / "conf" / "db").mkdir(parents=True)
        (self.cwd / "app.py").write_text(HYDRA_APP)
        (self.cwd / "conf" / "config.yaml").write_text(HYDRA_CONFIG)
        for name in ("mysql", "pg"):
            (self.cwd / "conf" / "db" / f"{name}.yaml").write_text(f"driver: {name}\n")
        self.values = {"lr": 0.1, "twice": 0.1, "wait": None, "fail": False, "db": {"driver": "mysql"}}
        self.values["db_password"] = "<redacted>"

    def app(self, *words, isolated=False, **options):
        return self.launch(VENV_PYTHON, *(["-I"] if isolated else []), "app.py", *words, **options)

    def kept(self, run=None, attempt=1):
        folder = (run or self.run_dir()) / "config" / f"attempt-{attempt}"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))

    def test_one_job_from_inside_and_from_its_files(self):
        for isolated in (False, True):
            with self.subTest(isolated=isolated):
                self.fresh_store()
                self.app("lr=0.5", "db=pg", "+new=[1,2]", isolated=isolated)
                config = self.config()
                changed = {"lr": 0.5, "twice": 0.5, "db": {"driver": "pg"}, "new": [1, 2]}
                self.assertEqual(config["values"], {**self.values, **changed})
                self.assertEqual(config["rung"], "files" if isolated else "hook")
                self.assertEqual(config["overrides"], ["lr=0.5", "db=pg", "+new=[1,2]"])
                self.assertEqual(config["given"], ["lr", "db", "new"])
                self.assertEqual(config["choices"]["db"], "pg")
                self.assertEqual(config["raw"]["twice"], "${lr}")
                self.assertTrue(config["output_dir"].startswith(str(self.cwd / "outputs")))
                self.assertEqual(self.kept(), ["config.yaml", "hydra.yaml", "overrides.yaml"])
                for path in self.run_dir().rglob("*"):
                    if path.is_file() and path.name != "output.log":
                        self.assertNotIn(b"hunter2", path.read_bytes(), path)

    def test_every_job_of_a_sweep_has_its_configuration_and_status(self):
        for isolated in (False, True):
            with self.subTest(isolated=isolated):
                self.fresh_store()
                shutil.rmtree(self.cwd / "multirun", ignore_errors=True)
                self.app("-m", "lr=1,2", "fail=false,true", isolated=isolated)
                config = self.config()
                jobs = config["jobs"]
                self.assertEqual([job["overrides"] for job in jobs][:2], [["lr=1", "fail=False"], ["lr=1", "fail=True"]])
                self.assertEqual([job["values"]["lr"] for job in jobs], [1, 1, 2, 2][: len(jobs)])
                self.assertEqual(config["overrides"], ["lr=1,2", "fail=false,true"])
                self.assertNotIn("fail", config["values"])
                self.assertEqual(self.kept()[:3], ["0/config.yaml", "0/hydra.yaml", "0/overrides.yaml"])
                if not isolated:
                    self.assertEqual([job["status"] for job in jobs][:2], ["COMPLETED", "FAILED"])
                    self.assertEqual(jobs[1]["error"], "ValueError: as wanted")

    def test_a_job_that_is_killed_is_recorded_as_interrupted(self):
        process = self.start(VENV_PYTHON, "app.py", "lr=0.5", f"wait={self.tmp}/there")
        self.wait_for(self.tmp / "there")
        wait_until(lambda: self.config().get("source") == "hydra", what="the captured configuration")
        process.terminate()
        process.wait(60)
        config = self.config()
        self.assertEqual((config["values"]["lr"], config["status"]), (0.5, "INTERRUPTED"))
        self.assertEqual(len(self.kept()), 3)

    def test_a_run_of_its_own_directory_is_continued_there(self):
        (self.cwd / "poster.toml").write_text("[hydra]\nown_dir = true\n")
        self.app("fail=true", "lr=0.5")
        run = self.run_dir()
        self.assertEqual(self.config()["output_dir"], str(run / "hydra"))
        self.assertFalse((self.cwd / "outputs").exists())
        self.assertNotIn("hydra.run.dir", json.dumps(self.run_json()["argv"]))
        self.poster("continue", "last", "--", "fail=false", check=0)
        config = self.config()
        self.assertEqual((config["attempt"], config["status"], config["output_dir"]), (2, "COMPLETED", str(run / "hydra")))
        self.assertEqual(self.kept(attempt=1), self.kept(attempt=2))
        attempts = [(run / "config" / f"attempt-{n}" / "overrides.yaml").read_text() for n in (1, 2)]
        self.assertEqual(attempts, ["- fail=true\n- lr=0.5\n", "- fail=false\n- lr=0.5\n"])

    def test_own_dir_finds_its_place_on_every_command_line(self):
        (self.cwd / "poster.toml").write_text("[hydra]\nown_dir = true\n")
        table = ["", "lr=2", "lr=2 -m", "-m lr=2", "-cn config lr=2 --multirun", "-cn=config", "--config-name config db=pg lr=2"]
        for line in table:
            for isolated in (False, True):
                with self.subTest(line=line, isolated=isolated):
                    self.fresh_store()
                    done = self.app(*line.split(), isolated=isolated)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    config = self.config()
                    job = config["jobs"][0] if "-m" in line else config
                    folder = self.run_dir() / "hydra"
                    self.assertEqual(job["output_dir"], str(folder / "0" if "-m" in line else folder))
                    self.assertNotIn("hydra.run.dir", json.dumps([config["overrides"], config["values"]]))
        self.fresh_store()
        self.app("hydra.run.dir=mine")
        self.assertEqual(self.config()["output_dir"], str(self.cwd / "mine"))

    def test_rerun_merges_overrides_as_hydra_means_them(self):
        self.app("lr=0.5", "+new=1", "-cn", "config")
        done = self.poster("rerun", "-q", "last", "--", "new=2", "db=pg", "lr=3", check=0)
        printed = json.loads(done.stdout)
        self.assertEqual((printed["lr"], printed["new"], printed["db"]), (3, 2, {"driver": "pg"}))
        runs = [self.run_json(run) for run in self.run_dirs()]  # of the same second: in any order
        (argv,) = [run["argv"] for run in runs if run["parent"]]
        self.assertEqual(argv[1:], ["app.py", "lr=3", "+new=2", "db=pg", "-cn", "config"])

    def test_flags_that_run_nothing_make_no_run(self):
        for words in (["--help"], ["-h"], ["--hydra-help"], ["--version"], ["--cfg", "job"], ["-c", "job", "lr=3"], ["--info"]):
            with self.subTest(words=words):
                plain = self.poster_free(*words)
                under = self.app(*words)
                self.assertEqual((under.stdout, under.returncode), (plain.stdout, plain.returncode))
                self.assertEqual(self.run_dirs(), [])
        self.app("lr=2", "--resolve")
        self.assertEqual(len(self.run_dirs()), 1)

    def poster_free(self, *words):
        import subprocess

        return subprocess.run([VENV_PYTHON, "app.py", *words], cwd=self.cwd, env=self.env, capture_output=True, check=False)

    def test_another_programs_help_is_a_run_like_others(self):
        (self.cwd / "plain.py").write_text('"""import hydra; hydra.main()"""\nimport argparse\nargparse.ArgumentParser().parse_args()\n')
        self.launch(VENV_PYTHON, "plain.py", "--help")
        self.assertEqual(len(self.run_dirs()), 1)

    def test_chdir_and_a_changed_subfolder_are_followed(self):
        self.app("hydra.job.chdir=true", "hydra.output_subdir=.other", "lr=4")
        self.assertEqual((self.config()["values"]["lr"], len(self.kept())), (4, 3))


@needs_venv
class HydraZen(Config):
    def test_launches_in_a_plain_script_are_recorded(self):
        self.launch(VENV_PYTHON, EXAMPLES / "launch_zen.py", "0.5")
        self.assertEqual((self.config()["source"], self.config()["values"]["lr"]), ("hydra-zen", 0.5))
        self.assertEqual(self.config()["targets"], ["__main__.Model"])
        self.fresh_store()
        self.launch(VENV_PYTHON, EXAMPLES / "launch_zen.py", "0.5", "0.25")
        self.assertEqual([job["values"]["lr"] for job in self.config()["jobs"]], [0.5, 0.25])
        self.assertEqual([job["status"] for job in self.config()["jobs"]], ["COMPLETED"] * 2)


@needs_venv
class Fire(Config):
    def test_without_the_hook_the_words_are_read_as_fire_reads_them(self):
        (self.cwd / "job.py").write_text(
            "import fire\ndef train(path, lr=0.1, flag=False, norm=True, tags=(), seed=1):\n    print(path, lr, flag, norm, tags, seed)\n"
            "fire.Fire(train)\n"
        )
        words = ["data", "--lr=1e-3", "--flag", "--tags", "[a,b]", "-s", "4", "--nonorm", "--", "--trace"]
        self.launch(VENV_PYTHON, "-I", "job.py", *words)
        config = self.config()
        self.assertEqual((config["source"], config["rung"]), ("argv-fire", "argv"))
        values = {"lr": 0.001, "flag": True, "tags": ["a", "b"], "seed": 4, "norm": False}
        self.assertEqual((config["values"], config["positionals"]), (values, ["data"]))

    def test_a_script_without_fire_is_guessed(self):
        self.launch(*python("pass"), "--lr=1e-3")
        self.assertEqual((self.config()["source"], self.config()["values"]), ("argv-guess", {"lr": 0.001}))


if __name__ == "__main__":
    main()
