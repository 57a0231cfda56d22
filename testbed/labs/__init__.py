"""Classroom labs: `testbed lab`. One folder each; what a folder holds is said in `exercise`, how its checks are written in `checking`.

    exercise ── variant(student) ──▶ topology.py in the student's folder (`desk`) ──▶ a running lab
                                                                                        │ checks.py, answers.py
    report ◀── result.json of each student ◀──────────── marks, with packet evidence ◀── grading
"""
