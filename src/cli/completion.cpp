#include "completion.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <error.hpp>
#include <poster/run.hpp>
#include <text.hpp>

#include "command_table.hpp"

namespace poster {

namespace {

using Words = std::vector<std::string>;

// Words are joined again where bash takes them apart at '=' and ':', and candidates cut accordingly.
constexpr std::string_view kBash = R"sh(# bash completion for poster
_poster() {
    local words=() word line glue="" cut="" i
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $glue || ( $word == [=:] && ${#words[@]} -gt 0 ) ]]; then
            words[${#words[@]}-1]+=$word
            glue=""
            [[ $word == [=:] ]] && glue=1
        else
            words+=("$word")
        fi
    done
    local current=${words[${#words[@]}-1]}
    local quote=""
    [[ $current == [\"\']* ]] && quote=${current:0:1} current=${current:1}
    [[ -z $quote ]] && current=${current//\\/}
    words[${#words[@]}-1]=$current
    [[ $current == *[=:]* && -z $quote ]] && cut=${current%"${current##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default 2>/dev/null; COMPREPLY+=($(compgen -f -- "${current#"$cut"}")) ;;
            :directories) compopt -o dirnames 2>/dev/null; COMPREPLY+=($(compgen -d -- "${current#"$cut"}")) ;;
            ":command "*)
                if declare -F _command_offset >/dev/null; then
                    _command_offset "${line#:command }"
                elif ((COMP_CWORD == ${line#:command })); then
                    COMPREPLY=($(compgen -c -f -- "$current"))
                else
                    COMPREPLY=($(compgen -f -- "$current"))
                fi
                return ;;
            *)
                word=${line%%$'\t'*}
                [[ $word == "$current"* ]] || continue
                word=${word#"$cut"}
                [[ -n $quote ]] || printf -v word %q "$word"
                COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
}
complete -F _poster poster post
)sh";

constexpr std::string_view kZsh = R"sh(#compdef poster post
_poster() {
    local line word
    local -a typed found
    typed=("${(@Q)words[2,CURRENT]}")
    found=()
    for line in "${(@f)$(${(Q)words[1]} complete -- "${typed[@]}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            :files) _files ;;
            :directories) _files -/ ;;
            ':command '*)
                shift ${line#:command } words
                (( CURRENT -= ${line#:command } ))
                _normal
                return ;;
            *)
                word=${line%%$'\t'*}
                found+=("${word//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( ${#found} )) && _describe -V poster found
}
if [[ $funcstack[1] == _poster ]]; then
    _poster "$@"
else
    compdef _poster poster post
fi
)sh";

constexpr std::string_view kFish = R"sh(# fish completion for poster
function __poster_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    for line in ($tokens[1] complete -- $tokens[2..] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :directories
                __fish_complete_directories "$current"
            case ':command *'
                set -l at (math 1 + (string replace ':command ' '' -- $line))
                complete -C (string join ' ' -- (string escape -- $tokens[$at..]) "$current")
            case '*'
                echo $line
        end
    end
end
complete -c poster -f -k -a '(__poster_complete)'
complete -c post -f -k -a '(__poster_complete)'
)sh";

std::vector<Suggestion> all_statuses() {
    std::vector<Suggestion> found;
    for (Status status : {Status::queued, Status::running, Status::finished, Status::failed, Status::killed,
                          Status::timeout, Status::preempted, Status::lost})
        found.push_back({std::string(to_string(status)), ""});
    return found;
}

std::vector<Suggestion> all_commands() {
    std::vector<Suggestion> found;
    for (const auto& command : command_table())
        found.push_back({std::string(command.name), std::string(command.summary)});
    return found;
}

class Completer {
public:
    explicit Completer(const Source& source) : source_(source) {}

    Completions complete(const Words& words) {
        const std::string& current = words.back();
        if (words.size() == 1) {
            add(all_commands());
            return std::move(found_);
        }
        const CommandText* command = find_command(words.front());
        if (command == nullptr) return std::move(found_);
        std::size_t at = 1;
        std::size_t places = 0; // words that are no options
        for (; at + 1 < words.size(); ++at) {
            if (words[at] == "--") return behind_dashes(*command, at + 1);
            if (words[at].size() < 2 || words[at][0] != '-') {
                if (command->name == "run") return as_command(at);
                ++places;
                continue;
            }
            if (takes_next_word(*command, words[at])) {
                if (at + 2 == words.size()) return value_of(*command, words[at], current);
                if (long_name(*command, words[at]) == "--store") store_ = words[at + 1];
                ++at;
            }
        }
        if (current.starts_with("--") && current.find('=') != std::string::npos) return value_within(*command, current);
        if (current.starts_with("-")) {
            add_options(*command);
            return std::move(found_);
        }
        if (command->name == "run") return as_command(at);
        const std::string_view place = place_of(*command, places);
        add_word(place, current);
        // Words of two kinds stand side by side: `plot RUN… METRIC…`
        if (place == "RUN" && command->arguments.find("METRIC") != std::string_view::npos) add_word("METRIC", current);
        if (place == "METRIC" && command->arguments.find("RUN…") != std::string_view::npos) add_word("RUN", current);
        return std::move(found_);
    }

private:
    void add(std::vector<Suggestion> more) {
        found_.words.insert(found_.words.end(), std::make_move_iterator(more.begin()),
                            std::make_move_iterator(more.end()));
    }

    // `at` counts from poster's first word; the shells count the program's name, too.
    Completions as_command(std::size_t at) {
        found_.command_at = at + 1;
        return std::move(found_);
    }

    Completions behind_dashes(const CommandText& command, std::size_t at) {
        if (command.name == "run") return as_command(at);
        found_.files = true;
        return std::move(found_);
    }

    static const OptionText* option_of(const CommandText& command, const std::string& word) {
        if (word.starts_with("--")) return find_option(command, word.substr(0, word.find('=')));
        return find_option(command, std::string{'-', word.back()}); // -qn NAME
    }

    static std::string_view long_name(const CommandText& command, const std::string& word) {
        const OptionText* option = option_of(command, word);
        return option == nullptr ? std::string_view() : long_flag(*option);
    }

    static bool takes_next_word(const CommandText& command, const std::string& word) {
        const OptionText* option = option_of(command, word);
        return option != nullptr && !option->value.empty() && word.find('=') == std::string::npos;
    }

    void add_options(const CommandText& command) {
        for (const auto& option : command.options) {
            add({{std::string(long_flag(option)), std::string(option.help)}});
            if (!short_flag(option).empty()) add({{std::string(short_flag(option)), std::string(option.help)}});
        }
    }

    Completions value_of(const CommandText& command, const std::string& option, const std::string& current) {
        add_word(option_of(command, option)->value, current);
        return std::move(found_);
    }

    // --status=fa
    Completions value_within(const CommandText& command, const std::string& current) {
        const OptionText* option = option_of(command, current);
        if (option == nullptr) return std::move(found_);
        const std::string front = current.substr(0, current.find('=') + 1);
        add_word(option->value, current.substr(front.size()));
        for (auto& it : found_.words) it.word.insert(0, front);
        return std::move(found_);
    }

    // The n-th word of the usage line that is no option: "[OPTION]… RUN TAG…" is RUN, then TAG for ever.
    static std::string_view place_of(const CommandText& command, std::size_t n) {
        Words places = split(command.arguments, ' ');
        std::erase_if(places, [](const std::string& it) { return it.starts_with("[OPTION]"); });
        auto dashes = std::find_if(places.begin(), places.end(), [](const auto& it) { return it.starts_with("[--"); });
        places.erase(dashes, places.end());
        if (places.empty() || (n >= places.size() && places.back().find("…") == std::string::npos)) return {};
        const std::string& place = places[std::min(n, places.size() - 1)];
        for (std::string_view known : {"RUN", "TAG", "METRIC", "COMMAND", "bash|zsh|fish"})
            if (place.find(known) != std::string::npos) return known;
        return {};
    }

    void add_word(std::string_view kind, const std::string& begun) {
        if (kind == "RUN") add(source_(Suggested::runs, begun, store_));
        if (kind == "TAG") add(source_(Suggested::tags, begun, store_));
        if (kind == "NAME" || kind == "PATTERN") add(source_(Suggested::names, begun, store_));
        if (kind == "METRIC") add(source_(Suggested::metrics, begun, store_));
        if (kind == "GROUP") add(source_(Suggested::groups, begun, store_));
        if (kind == "STATUS") add(all_statuses());
        if (kind == "COMMAND") add(all_commands());
        if (kind == "bash|zsh|fish")
            for (const char* shell : {"bash", "zsh", "fish"}) add({{shell, ""}});
        found_.directories |= kind == "DIR";
        found_.files |= kind == "FILE";
    }

    const Source& source_;
    std::optional<std::string> store_;
    Completions found_;
};

} // namespace

std::string completion_script(std::string_view shell) {
    if (shell == "bash") return std::string(kBash);
    if (shell == "zsh") return std::string(kZsh);
    if (shell == "fish") return std::string(kFish);
    throw UsageError(fmt::format("no completion for '{}'", shell), "there is one for bash, zsh and fish");
}

Completions complete(const std::vector<std::string>& words, const Source& source) {
    return words.empty() ? Completions{} : Completer(source).complete(words);
}

std::string printed(const Completions& completions) {
    std::string text;
    for (const auto& it : completions.words) text += it.word + "\t" + it.description + "\n";
    if (completions.files) text += ":files\n";
    if (completions.directories) text += ":directories\n";
    if (completions.command_at > 0) text += fmt::format(":command {}\n", completions.command_at);
    return text;
}

} // namespace poster
