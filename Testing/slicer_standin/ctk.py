"""The ctk widgets that our panels use, in plain Qt. Another one is an AttributeError here until it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Property, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget

from .qt import own_widget

_TITLE, _NO_LIMIT = 24, (1 << 24) - 1  # pixels


@own_widget
class ctkCollapsibleButton(QAbstractButton):
    """A titled frame that folds."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(6, _TITLE + 2, 6, 4)
        self.toggled.connect(lambda on: self._collapse(not on))

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(not collapsed)
        self.setMaximumHeight(_TITLE if collapsed else _NO_LIMIT)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, _collapse)

    def sizeHint(self) -> QSize:
        content = self.layout().totalSizeHint() if self.layout() and not self._collapsed else QSize(200, _TITLE)
        return QSize(content.width(), max(_TITLE, content.height()))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        arrow = "▸" if self._collapsed else "▾"
        painter.fillRect(0, 0, self.width, _TITLE - 2, self.palette.button())
        painter.drawText(8, _TITLE - 8, f"{arrow}  {self.text}")
        painter.setPen(self.palette.mid().color())
        painter.drawRect(0, 0, self.width - 1, self.height - 1)


@own_widget
class ctkPathLineEdit(QWidget):
    """A path that is typed or chosen; it need not exist. Only the filter Dirs changes what the dialog offers."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters, self._setting = "", ""
        self._edit, self._button = QLineEdit(self), QToolButton(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit)
        layout.addWidget(self._button)
        self._button.setText("...")
        self._button.clicked.connect(self.browse)
        self._edit.textChanged.connect(self.currentPathChanged)

    def browse(self) -> None:
        choose = QFileDialog.getExistingDirectory if "Dirs" in self._filters else QFileDialog.getOpenFileName
        chosen = choose(self, "", str(Path(self._edit.text).parent))
        path = chosen if isinstance(chosen, str) else chosen[0]
        if path:
            self.setCurrentPath(path)

    def setCurrentPath(self, path: str) -> None:
        self._edit.setText(path)

    def _set_filters(self, filters: str) -> None:
        self._filters = filters

    def _set_setting(self, key: str) -> None:
        self._setting = key

    currentPath = Property(str, lambda self: self._edit.text, setCurrentPath)
    filters = Property(str, lambda self: self._filters, _set_filters)
    settingKey = Property(str, lambda self: self._setting, _set_setting)
