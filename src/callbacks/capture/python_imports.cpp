#include "python_imports.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include <files.hpp>

namespace poster {

namespace {

using std::string_view;

constexpr std::size_t kMostFiles = 60;
constexpr std::uintmax_t kMostBytes = 1'000'000;

bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

string_view trimmed(string_view text) {
    const auto begin = text.find_first_not_of(" \t\r");
    if (begin == string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// The code of a file, line by line, without what stands in triple quotes or behind #.
std::vector<std::string> code_lines(string_view text) {
    std::vector<std::string> lines(1);
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool triple = i + 2 < text.size() && text[i] == text[i + 1] && text[i] == text[i + 2] &&
                            (text[i] == '"' || text[i] == '\'') && (quote == 0 || quote == text[i]);
        if (triple) {
            quote = quote == 0 ? text[i] : '\0';
            i += 2;
        } else if (quote == 0 && text[i] == '#') {
            while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
        } else if (quote == 0 && text[i] == '\n') {
            lines.emplace_back();
        } else if (quote == 0) {
            lines.back() += text[i];
        }
    }
    return lines;
}

struct Import {
    std::string module;             // ".": of its own folder
    std::vector<std::string> names; // of `from module import names`
};

std::vector<std::string> names_of(string_view list) {
    std::vector<std::string> names;
    while (!list.empty()) {
        const auto comma = list.find(',');
        string_view name = trimmed(list.substr(0, comma));
        if (!name.empty() && name.front() == '(') name = trimmed(name.substr(1));
        name = name.substr(0, name.find_first_of(" \t);"));
        if (!name.empty()) names.emplace_back(name);
        list = comma == string_view::npos ? string_view{} : list.substr(comma + 1);
    }
    return names;
}

std::vector<Import> imports_of(string_view line) {
    std::vector<Import> found;
    if (line.starts_with("import ")) {
        for (auto& name : names_of(line.substr(7))) found.push_back({std::move(name), {}});
    } else if (line.starts_with("from ")) {
        const auto word = line.find(" import");
        if (word == string_view::npos) return found;
        found.push_back({std::string(trimmed(line.substr(5, word - 5))), names_of(line.substr(word + 7))});
    }
    return found;
}

// Of "def train(self, lr: float = 0.1, *rest)": self, lr, rest.
void add_parameters(string_view line, std::set<std::string, std::less<>>& names) {
    for (std::size_t i = 0; i < line.size();) {
        if (!is_name_char(line[i])) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (end < line.size() && is_name_char(line[end])) ++end;
        names.emplace(line.substr(i, end - i));
        i = end;
    }
}

class Scanner {
public:
    Scanner(const fs::path& entry, const fs::path& root) : roots_{entry.parent_path(), root} {
        files_.push_back(entry);
    }

    PythonImports scan() {
        for (std::size_t read = 0; read < kMostFiles && !files_.empty(); ++read) {
            const fs::path file = files_.front();
            files_.pop_front();
            std::error_code failure;
            if (fs::file_size(file, failure) > kMostBytes || failure) continue;
            if (auto text = read_file(file)) scan_text(file, *text);
        }
        if (!found_.fire) found_.parameters.clear();
        return std::move(found_);
    }

private:
    void scan_text(const fs::path& file, const std::string& text) {
        bool in_definition = false; // whose parameters may go over several lines
        for (const auto& raw : code_lines(text)) {
            const string_view line = trimmed(raw);
            for (const auto& import : imports_of(line)) take(file, import);
            for (string_view mark : {"hydra.main(", "hydra_main("})
                found_.hydra_main |= line.find(mark) != string_view::npos;
            found_.hydra_main |= main_is_imported_ && line.starts_with("@main(");
            in_definition |= line.starts_with("def ") || line.starts_with("async def ");
            if (in_definition) add_parameters(line, found_.parameters);
            in_definition &= line.empty() || line.back() != ':';
        }
    }

    void take(const fs::path& file, const Import& import) {
        const std::string top = import.module.substr(0, import.module.find('.'));
        found_.hydra |= top == "hydra" || top == "hydra_zen";
        found_.fire |= top == "fire";
        main_is_imported_ |=
            import.module == "hydra" && std::count(import.names.begin(), import.names.end(), "main") > 0;
        std::size_t dots = import.module.find_first_not_of('.');
        if (dots == std::string::npos) dots = import.module.size();
        std::vector<fs::path> bases = roots_;
        if (dots > 0) {
            bases = {file.parent_path()};
            for (std::size_t up = 1; up < dots; ++up) bases.front() = bases.front().parent_path();
        }
        std::string below = import.module.substr(dots);
        std::replace(below.begin(), below.end(), '.', '/');
        for (const auto& base : bases) {
            visit(base / below);
            for (const auto& name : import.names) visit(base / below / name);
        }
    }

    void visit(const fs::path& module) {
        for (const auto& file : {fs::path(module.native() + ".py"), module / "__init__.py"}) {
            std::error_code failure;
            if (seen_.size() >= kMostFiles * 4 || !seen_.insert(file.lexically_normal()).second) continue;
            if (fs::is_regular_file(file, failure)) files_.push_back(file);
        }
    }

    std::vector<fs::path> roots_;
    std::deque<fs::path> files_;
    std::set<fs::path> seen_;
    bool main_is_imported_ = false;
    PythonImports found_;
};

} // namespace

PythonImports python_imports(const fs::path& entry, const fs::path& root) {
    return Scanner(entry, root).scan();
}

} // namespace poster
