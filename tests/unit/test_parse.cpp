#include <catch2/catch.hpp>

#include <parse.hpp>

#include <error.hpp>
#include <text.hpp>

#include <string>
#include <vector>

using namespace poster;
using Words = std::vector<std::string>;

namespace {

template <typename Arguments>
Arguments parsed(const Words& words) {
    return std::get<Arguments>(parse(words));
}

// Words apart by blanks; "_" is an empty word.
Words words(const std::string& line) {
    Words out = split(line, ' ');
    for (auto& word : out)
        if (word == "_") word.clear();
    return out;
}

std::string complaint(const Words& line) {
    try {
        parse(line);
    } catch (const UsageError& error) {
        return std::string(error.what()) + " | " + error.help();
    }
    return "none";
}

} // namespace

TEST_CASE("from the first word of the command on, nothing is poster's") {
    auto [line, command] = GENERATE(table<std::string, std::string>({
        {"run true", "true"},
        {"run python x.py --help -n 3", "python x.py --help -n 3"},
        {"run -n x python x.py -n y", "python x.py -n y"},
        {"run -n x -- ./a.sh -t y", "./a.sh -t y"},
        {"run -- -n x", "-n x"},
        {"run -- -- x", "-- x"},
        {"run a -- b", "a -- b"},
        {"run --name x -q a --quiet", "a --quiet"},
        {"run --name=x a=b", "a=b"},
        {"run -nx a", "a"},
        {"run -qv a", "a"},
        {"run -qvn x a", "a"},
        {"run -qvnx a", "a"},
        {"run -n run ls", "ls"},
        {"run -n -- a", "a"},
        {"run --note -- -- --json", "--json"},
        {"run - x", "- x"},
        {"run a _ b", "a _ b"},
        {"run --env A=b --env C=d -t x -t y a b", "a b"},
    }));
    CAPTURE(line);
    CHECK(parsed<RunArguments>(words(line)).command == words(command));
}

TEST_CASE("the options of run reach their fields") {
    auto run =
        parsed<RunArguments>({"run",   "-n",  "base line",   "-t", "a",   "--tag=b",   "-tc",       "--note", "[x,y]",
                              "--env", "A=",  "--env=B=c=d", "-C", "sub", "--store=s", "--timeout", "1h30m",  "--grace",
                              "500ms", "-qv", "--dry-run",   "x"});
    CHECK(run.name == "base line");
    CHECK(run.tags == Words{"a", "b", "c"});
    CHECK(run.note == "[x,y]");
    CHECK(run.environment == Words{"A=", "B=c=d"});
    CHECK(run.cwd == "sub");
    CHECK(run.store == "s");
    CHECK(run.timeout == "1h30m");
    CHECK(run.grace == "500ms");
    CHECK(run.quiet);
    CHECK(run.verbose);
    CHECK(run.dry_run);
}

TEST_CASE("values are taken as they are") {
    auto [line, note] = GENERATE(table<std::string, std::string>({
        {"run --note -5 a", "-5"},
        {"run --note --lr a", "--lr"},
        {"run --note _ a", ""},
        {"run --note= a", ""},
        {"run --note=[a] a", "[a]"},
        {"run --note {} a", "{}"},
        {"run --note %% a", "%%"},
        {"run --note \"q\" a", "\"q\""},
        {"run --note x --note y a", "y"},
    }));
    CAPTURE(line);
    auto run = parsed<RunArguments>(words(line));
    CHECK(run.note == note);
    CHECK(run.command == Words{"a"});
}

TEST_CASE("a tag in brackets is one tag") {
    CHECK(parsed<RunArguments>({"run", "-t", "[a,b]", "x"}).tags == Words{"[a,b]"});
}

TEST_CASE("a time limit of zero is none") {
    CHECK(parsed<RunArguments>({"run", "--timeout", "0", "x"}).timeout == "");
}

TEST_CASE("the options of the reading commands reach their fields") {
    auto list = parsed<ListArguments>(words("ls --status failed --status lost --tag a --tag b --name x* --since 2d "
                                            "--limit 0 --store s --json"));
    CHECK(list.statuses == Words{"failed", "lost"});
    CHECK(list.tags == Words{"a", "b"});
    CHECK(list.name == "x*");
    CHECK(list.since == "2d");
    CHECK(list.limit == 0U);
    CHECK(list.store == "s");
    CHECK(list.json);
    CHECK_FALSE(parsed<ListArguments>({"ls"}).limit.has_value());
    CHECK(parsed<ShowArguments>({"show"}).run == "last");
    CHECK(parsed<ShowArguments>({"show", "k7qd", "--json"}).run == "k7qd");
    auto logs = parsed<LogsArguments>(words("logs -f last~2 --attempt 2 --stderr --timestamps"));
    CHECK(logs.run == "last~2");
    CHECK(logs.follow);
    CHECK(logs.attempt == 2);
    CHECK(logs.only_stderr);
    CHECK(logs.timestamps);
    auto stop = parsed<StopArguments>(words("stop a --kill b"));
    CHECK(stop.runs == Words{"a", "b"});
    CHECK(stop.kill);
    CHECK(parsed<PlainCommand>({"config", "--json"}).execute == &show_config);
    CHECK(parsed<PlainCommand>({"callbacks"}).execute == &show_callbacks);
    CHECK(parsed<PlainCommand>({"reindex", "--store", "s"}).arguments.store == "s");
    CHECK(parsed<PlainCommand>({"version", "--json"}).arguments.json);
    CHECK(parsed<PlainCommand>({"--version"}).execute == &show_version);
}

TEST_CASE("what cannot be meant is refused, with a way out") {
    auto [line, what] = GENERATE(table<std::string, std::string>({
        {"", "no command given | poster run COMMAND"},
        {"run", "no command to run | usage: poster run"},
        {"run --", "no command to run"},
        {"run -q", "no command to run"},
        {"run -n x", "no command to run"},
        {"run _", "no command to run"},
        {"rnu x", "unknown command 'rnu' | did you mean 'run'?"},
        {"list", "did you mean 'ls'?"},
        {"log", "what to log? | usage: poster log metric"},
        {"log", "`poster logs` prints what a run wrote"},
        {"log last", "not 'last'"},
        {"python x.py", "to run it: poster run python"},
        {"--stroe x ls", "unknown option '--stroe'"},
        {"run --nmae x a", "unknown option '--nmae' of poster run | did you mean '--name'?"},
        {"run --nmae=x a", "did you mean '--name'?"},
        {"run -x a", "unknown option '-x' of poster run"},
        {"run -n", "-n lacks its value"},
        {"run -qn", "-n lacks its value"},
        {"run --name", "--name lacks its value | --name NAME"},
        {"run --timeout soon a", "--timeout wants a duration, not 'soon' | for example 90, 30s"},
        {"run --grace -- a", "--grace wants a duration"},
        {"run --env A a", "--env wants NAME=VALUE"},
        {"run --env =x a", "--env wants NAME=VALUE"},
        {"run --store= a", "--store wants a directory"},
        {"ls --staus failed", "did you mean '--status'?"},
        {"ls --status faild", "unknown status 'faild' | did you mean 'failed'?"},
        {"ls --status zzzzzzzzz", "it is one of queued, running"},
        {"ls --limit x", "--limit wants a whole number"},
        {"ls --limit -1", "--limit wants a whole number"},
        {"ls x", "does not know what to do with 'x'"},
        {"ls --limit", "--limit lacks its value"},
        {"show a b", "does not know what to do with 'b'"},
        {"logs --attempt 0", "--attempt wants a whole number from 1 on"},
        {"logs --stdout --stderr", "exclude each other"},
        {"logs --raw --timestamps", "exclude each other"},
        {"stop", "no run to stop"},
        {"help rnu", "did you mean 'run'?"},
        {"version x", "does not know what to do with 'x'"},
        {"reindex --json", "unknown option '--json' of poster reindex"},
    }));
    CAPTURE(line);
    CHECK_THAT(complaint(words(line)), Catch::Contains(what));
}

TEST_CASE("a secret in an ill-formed assignment is not repeated") {
    CHECK_THAT(complaint({"run", "--env", "hunter2", "x"}), !Catch::Contains("hunter2"));
}

TEST_CASE("each command has help with examples") {
    auto [line, part] = GENERATE(table<std::string, std::string>({
        {"--help", "Commands:"},
        {"-h", "poster run python train.py"},
        {"help", "Commands:"},
        {"help run", "Usage: poster run [OPTION]… COMMAND"},
        {"run --help", "Examples:"},
        {"run -qh", "Examples:"},
        {"run -n x --help python", "--timeout DURATION"},
        {"ls --help --bogus", "--since WHEN"},
        {"show -h", "Examples:"},
        {"logs --help", "--follow"},
        {"stop --help", "--kill"},
        {"callbacks --help", "Examples:"},
        {"config --help", "Examples:"},
        {"reindex --help", "Examples:"},
        {"version --help", "Examples:"},
        {"help --man", ".TH POSTER 1"},
        {"completion bash", "complete -F _poster poster post"},
        {"completion zsh", "#compdef poster"},
        {"completion fish", "complete -c poster"},
    }));
    CAPTURE(line);
    CHECK_THAT(parsed<TextCommand>(words(line)).text, Catch::Contains(part));
}
